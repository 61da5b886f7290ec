# SPDX-License-Identifier: Apache-2.0
"""What the server itself says of a message: its story, out of `postern trace`."""
from world import Trouble


def evidence(server, message, address):
    """Lines of the story that tell how this recipient's mail travelled; [] when there are none."""
    try:
        lines = server.ask('trace', message).splitlines()
    except Trouble as problem:
        return [f'no story: {problem}']
    return [' '.join(line.split()) for line in lines if 'TLSv1' in line and address.split('@')[1] in line]
