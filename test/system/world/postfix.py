# SPDX-License-Identifier: Apache-2.0
"""A real Postfix that receives: its own configuration, queue and log, on one loopback address.

Takes mail for every domain into one maildir, unless lines of main.cf (`more`) say otherwise. `postfix -c FOLDER` starts and stops it; Debian's own
instance is not touched.
"""
import email
import email.policy
import os
import pwd
import subprocess

from . import wait_until
from .machine import PATIENCE, USER, give

MASTER = """\
{address}:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
showq unix n - n - - showq
smtp unix - - n - - smtp
postlog unix-dgram n - n - 1 postlogd
"""

MAIN = """\
compatibility_level = 3.6
myhostname = {name}
mydestination =
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtpd_peername_lookup = no
disable_dns_lookups = yes
biff = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
message_size_limit = 60000000
virtual_mailbox_limit = 0
default_transport = virtual
relay_transport = virtual
virtual_transport = virtual
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_tls_security_level = {level}
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_protocols = >=TLSv1.3
smtpd_tls_mandatory_protocols = >=TLSv1.3
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
"""


SASL = """smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = {name}
smtpd_sasl_security_options = noanonymous
smtpd_tls_auth_only = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
"""


class Postfix:
    """login: (user, password) in a sasldb of its own; whoever relays must give it."""

    def __init__(self, folder, address, port, name, certificate, key, level='may', more='', login=None):
        self.folder, self.address, self.port, self.name = folder, address, port, name
        self.config = os.path.join(folder, 'etc')
        self.log = os.path.join(folder, 'log')
        self.mail = os.path.join(folder, 'mail')
        who = USER
        for name_of in (self.config, self.mail, os.path.join(folder, 'queue'), os.path.join(folder, 'data')):
            os.makedirs(name_of, exist_ok=True)
        give(self.mail)
        owner = pwd.getpwnam('postfix')
        os.chown(os.path.join(folder, 'data'), owner.pw_uid, owner.pw_gid)
        values = dict(folder=folder, address=address, port=port, name=name, uid=who.pw_uid,
                      gid=who.pw_gid, certificate=certificate, key=key, level=level)
        for file, text in (('main.cf', MAIN + more), ('master.cf', MASTER)):
            with open(os.path.join(self.config, file), 'w', encoding='ascii') as out:
                out.write(text.format(**values))
        if login:
            self._take_logins(login, values)
        self._postfix('start')
        wait_until(lambda: 'started' in self.log_text(), 20, what='Postfix start')

    def _take_logins(self, login, values):
        folder = os.path.join(self.config, 'sasl')
        os.makedirs(folder)
        self.database = os.path.join(folder, 'sasldb2')
        subprocess.run(['saslpasswd2', '-p', '-c', '-f', self.database, '-u', self.name, login[0]], input=login[1],
                       text=True, check=True, timeout=20)
        os.chown(self.database, pwd.getpwnam('postfix').pw_uid, -1)
        with open(os.path.join(self.config, 'main.cf'), 'a', encoding='ascii') as out:
            out.write(SASL.format(**values))
        self._write_mechanisms('PLAIN LOGIN')

    # Debian's Postfix looks for its SASL settings beside main.cf.
    def _write_mechanisms(self, words):
        path = os.path.join(self.config, 'sasl', 'smtpd.conf')
        with open(path, 'w', encoding='ascii') as out:
            out.write(f'pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {self.database}\n'
                      f'mech_list: {words}\n')
        for readable in (self.folder, self.config, os.path.dirname(path), path):
            os.chmod(readable, 0o755)

    def offer(self, mechanisms):
        """Other mechanisms of AUTH from now on."""
        self._write_mechanisms(mechanisms)
        self._postfix('reload')

    def _postfix(self, command):
        # The start script leaves the master in the background with our streams: give it none.
        return subprocess.run(['/usr/sbin/postfix', '-c', self.config, command],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False, timeout=60 * PATIENCE)

    def stop(self):
        self._postfix('stop')

    def log_text(self):
        try:
            with open(self.log, encoding='utf-8', errors='replace') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def messages(self):
        """[(bytes, parsed message)] in order of arrival."""
        new = os.path.join(self.mail, 'all', 'new')
        found = []
        for name in sorted(os.listdir(new)) if os.path.isdir(new) else []:
            with open(os.path.join(new, name), 'rb') as file:
                data = file.read()
            found.append((data, email.message_from_bytes(data, policy=email.policy.default)))
        return found

    def wait(self, fits, count=1, seconds=30):
        """Messages for which fits(bytes, message), once there are `count`."""
        return wait_until(lambda: (lambda found: found if len(found) >= count else None)(
            [pair for pair in self.messages() if fits(*pair)]), seconds, what='mail at Postfix')
