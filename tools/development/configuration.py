# SPDX-License-Identifier: Apache-2.0
"""The settings file of the instance, made from postern.conf.template."""
import os
import string

import world

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'postern.conf.template')


def portal_url(ports):
    return f'https://localhost:{ports.portal}'


def write(places, ports, run_as, mail_tls, portal_tls, dkim, password_hash):
    """mail_tls, portal_tls: (certificate, key); dkim: selector -> file."""
    with open(TEMPLATE, encoding='utf-8') as file:
        template = string.Template(file.read())
    text = template.substitute(
        vars(ports), state=places.state, master_key=places.master_key, authority=places.authority,
        run_as=run_as, mail_certificate=mail_tls[0], mail_key=mail_tls[1],
        portal_certificate=portal_tls[0], portal_key=portal_tls[1], portal_url=portal_url(ports),
        next_hop=f'{world.NEXT_HOP.name}:{ports.delivery}', dkim_rsa=dkim['rsa'], dkim_ed=dkim['ed'],
        password_hash=password_hash,
        zone=',\n        '.join(f'"{record}"' for record in world.zone()))
    write_private(places.settings, text)


def write_msmtp(places, ports, password):
    """What msmtp needs to send as the clerk."""
    write_private(places.password, password + '\n')
    write_private(places.msmtp, f"""\
account default
host localhost
port {ports.submission}
tls on
tls_starttls on
tls_trust_file {places.authority}
auth plain
user {world.CLERK}
password {password}
from {world.CLERK}
""")


def write_private(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w', encoding='utf-8') as file:
        file.write(text)
