# SPDX-License-Identifier: Apache-2.0
"""Small bar charts as SVG, readable on light and dark pages."""
from html import escape

WIDTH, LABEL, BAR, GAP = 720, 210, 18, 6
STYLE = '''text{font:13px system-ui,sans-serif;fill:#222}.h{font-weight:600;font-size:14px}.n{fill:#555}.a{stroke:#bbb}
.ours{fill:#1f77b4}.peer{fill:#9aa5b1}.soft{fill:#d0c4a8}
@media (prefers-color-scheme:dark){text{fill:#e6e6e6}.n{fill:#b5b5b5}.a{stroke:#555}.ours{fill:#5aa9e6}.peer{fill:#6b7683}.soft{fill:#7d7257}}'''


def bars(title, note, groups, unit):
    """groups: [(heading, [(label, value, class, words)])]; widths are to one scale a group"""
    out, y = [], 24
    out.append(f'<text x="10" y="{y}" class="h">{escape(title)}</text>')
    y += 18
    out.append(f'<text x="10" y="{y}" class="n">{escape(note)}</text>')
    for heading, items in groups:
        y += 26
        out.append(f'<text x="10" y="{y}" class="h">{escape(heading)}</text>')
        y += 8
        most = max((value for _, value, _, _ in items), default=0) or 1
        top = y
        for label, value, kind, words in items:
            length = max(1.0, value / most * (WIDTH - LABEL - 150))
            out.append(f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>'
                       f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
                       f'<text x="{LABEL + length + 6:.1f}" y="{y + 14}">{escape(words + unit)}</text>')
            y += BAR + GAP
        out.append(f'<line class="a" x1="{LABEL}" y1="{top - 2}" x2="{LABEL}" y2="{y - GAP + 2}"/>')
    height = y + 10
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">\n'
            f'<style>{STYLE}</style>\n' + '\n'.join(out) + '\n</svg>\n')
