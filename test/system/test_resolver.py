# SPDX-License-Identifier: Apache-2.0
"""Delivery through a real name server instead of settings: nsd holds the zones, our resolver asks it."""
import os

import pytest

from world import free_port
from world.mails import send
from world.nsd import Nsd


@pytest.mark.needs('nsd', 'dns')
def test_mail_finds_its_way_through_nsd(world, house, folder):
    good = world.host('mx.good.test', 'good.test')
    zones = {
        'good.test': '$ORIGIN good.test.\n$TTL 60\n@ SOA ns host 1 60 60 60 60\n@ NS ns\nns A 127.0.0.53\n'
                     f'@ MX 10 mx\nmx A {good.address}\nalias CNAME real\nreal MX 5 mx\n',
        'clinic.test': '$ORIGIN clinic.test.\n$TTL 60\n@ SOA ns host 1 60 60 60 60\n@ NS ns\nns A 127.0.0.53\n'
                       f'in A {world.clinic.address}\n',
    }
    port = free_port()
    server_of_names = Nsd(os.path.join(folder, 'nsd'), '127.0.0.53', port, zones)
    try:
        server = house(world, {'resolver': {'local_data': None, 'forward': [f'127.0.0.53@{port}']}})
        send(server, ['a@good.test'])
        good.wait(1)
        send(server, ['a@alias.good.test'])
        good.wait(2)
    finally:
        server_of_names.stop()
