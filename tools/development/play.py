# SPDX-License-Identifier: Apache-2.0
"""The play: set the stage, send the first messages, look whether they arrived as they should."""
import os
import secrets
import ssl
import urllib.request

import certificates
import configuration
import console
import letters
import story
import world
from browser import Browser
from catcher import Catcher
from mailroom import Mailroom
from names import Names
from server import Server
from world import Places, Trouble

ARRIVAL_SECONDS = 40


class Play:
    """Everything that runs. Use as a context: leaving it stops all, whatever happened before."""

    def __init__(self, folder, ports, program, run_as):
        self.places, self.ports, self.run_as = Places(folder), ports, run_as
        self.password = secrets.token_hex(8)
        self.mailroom = Mailroom(self.places.mail, configuration.portal_url(ports))
        self.mailroom.on_letter = console.arrival
        self.server = Server(program, self.places, ports)
        self.outside = []
        self.is_stopped_in_order = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_stopped_in_order = self.server.stop()
        if not self.is_stopped_in_order:
            console.complain('The server did not end in order.\n' + self.server.log_tail())
        for part in self.outside:
            part.stop()

    # ---- the stage ----

    def set_up(self):
        authority = certificates.Authority(self.places.authority, self.places.keys)
        near = ('localhost', world.SERVER_ADDRESS)
        mail_tls = authority.issue(world.MAIL_HOST, *near)
        portal_tls = authority.issue(world.PORTAL_HOST, *near)
        hosts_tls = {host.name: authority.issue(host.name) for host in world.HOSTS if host.has_tls}
        self.server.command('key', 'new', self.places.master_key)
        password_hash = self.server.command('password', text=self.password + '\n').strip()
        configuration.write(self.places, self.ports, self.run_as, mail_tls, portal_tls,
                            certificates.signing_keys(self.places.keys), password_hash)
        configuration.write_msmtp(self.places, self.ports, self.password)
        self.server.ask('check')
        for make in (lambda: Catcher(world.HOSTS, self.ports.delivery, hosts_tls, self.mailroom),
                     lambda: Browser(world.SERVER_ADDRESS, self.ports.browser, self.mailroom),
                     lambda: Names(world.SERVER_ADDRESS, self.ports.names)):
            self.outside.append(make())
            self.outside[-1].start()

    # ---- the first messages ----

    def open(self):
        """Send one message each way; what became of them, as an Opening."""
        opening = Opening()
        opening.message = letters.submit(self.ports, self.places.authority, self.password)
        opening.inbound = letters.send_inbound(self.ports)
        for mailbox, name in ((world.FRIEND, 'friend'), (world.STRANGER, 'stranger'), (world.CLERK, 'clerk')):
            setattr(opening, name, self._await(mailbox))
        for key, message, address in ((world.FRIEND, opening.message, world.FRIEND),
                                      (world.STRANGER, opening.message, world.STRANGER),
                                      (world.CLERK, opening.inbound, world.CLERK)):
            opening.evidence[key] = story.evidence(self.server, message, address)
        opening.problems = self._judge(opening)
        return opening

    def _await(self, mailbox):
        """The first letter for this mailbox; None when it does not come in time."""
        for _ in range(ARRIVAL_SECONDS):
            letter = self.mailroom.wait(lambda letter: letter.mailbox == mailbox, 1)
            if letter:
                return letter
            if not self.server.is_alive():
                raise Trouble('The server has ended by itself.\n' + self.server.log_tail())
        return None

    def _judge(self, opening):
        """What is not as it should be, in words."""
        problems = []
        if not opening.friend:
            problems.append(f'Nothing arrived for {world.FRIEND}.')
        elif not opening.friend.how or letters.SECRET not in opening.friend.text:
            problems.append(f'{world.FRIEND} did not get the letter itself by TLS.')
        elif not any('verified' in line for line in opening.evidence[world.FRIEND]):
            problems.append(f'The story of the mail to {world.FRIEND} shows no verified TLS.')
        if not opening.stranger:
            problems.append(f'No notice arrived for {world.STRANGER}.')
        elif letters.SECRET.encode() in opening.stranger.data or len(opening.stranger.links) != 1:
            problems.append(f'The notice for {world.STRANGER} is not neutral, or has not one link.')
        else:
            problems += self._judge_link(opening.stranger.links[0])
        if not opening.clerk:
            problems.append(f'Nothing arrived for {world.CLERK}.')
        elif not opening.clerk.how:
            problems.append(f'The mail for {world.CLERK} did not come by TLS.')
        return problems

    def _judge_link(self, link):
        context = ssl.create_default_context(cafile=self.places.authority)
        try:
            with urllib.request.urlopen(link, timeout=20, context=context) as answer:
                return [] if answer.status == 200 else [f'{link} answers {answer.status}.']
        except OSError as problem:
            return [f'{link} does not open: {problem}']


class Opening:
    """Ids of the two messages, the letters that arrived (None when one did not), and what is wrong."""

    message = inbound = ''
    friend = stranger = clerk = None
    problems = ()

    def __init__(self):
        self.evidence = {}  # recipient -> lines of the story

    @property
    def link(self):
        return self.stranger.links[0] if self.stranger and self.stranger.links else ''

    def results(self):
        """For console.opening."""
        missing = console.amber('has not arrived yet')
        yield (world.CLERK, world.FRIEND, console.green('went by proved TLS') if self.friend else missing,
               self.evidence.get(world.FRIEND, ()))
        yield (world.CLERK, world.STRANGER,
               'no TLS there, so it was ' + console.green('sealed in the portal')
               + ' and a neutral notice went out' if self.stranger else missing,
               self.evidence.get(world.STRANGER, ()))
        yield (world.FRIEND, world.CLERK,
               console.green('came in and went on to the clerk by proved TLS') if self.clerk else missing,
               self.evidence.get(world.CLERK, ()))
