/**
 * The offending part as one HTML page that needs nothing else: a lane for each client, a bar for each operation from its
 * invocation to its completion, the impossible one marked, and the same as a table. Light and dark by the reader's setting.
 *
 * Everything that came from the history is escaped; the page runs no script.
 */

import type { Verdict } from './check.ts';
import { type Row, rowsOf } from './timeline.ts';
import { span } from './words.ts';

const WIDTH = 1_040;
const LANE_LEFT = 92;
const LANE_RIGHT = 24;
const ROW_HEIGHT = 44;
const BAR_HEIGHT = 12;
const HEAD_HEIGHT = 34;
/** Shorter bars could not be seen or pointed at. */
const BAR_WIDTH_MIN = 3;
/** A character of the labels, so that labels know their room. */
const CHARACTER_WIDTH = 7.1;

export function drawing(verdict: Verdict, title: string): string {
  const headings: Record<Verdict['verdict'], string> = {
    linearizable: 'Linearizable',
    'not-linearizable': 'Not linearizable',
    unknown: 'Could not tell',
  };
  const { finding, why, partition, operations } = verdict;
  const parts = finding === null ? '' : figure(finding);
  const where = partition === null ? `${verdict.partitions} parts` : escaped(partition);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(`${title}: ${headings[verdict.verdict]}`)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header>
<p class="verdict ${verdict.verdict}">${headings[verdict.verdict]}</p>
<h1>${where}</h1>
<p class="about">${escaped(title)} · ${operations} operations in the whole history</p>
</header>
${why.length === 0 ? '' : `<section class="why">${why.map((each) => `<p>${escaped(each)}</p>`).join('\n')}</section>`}
${parts}
</main>
</body>
</html>
`;
}

function figure(finding: NonNullable<Verdict['finding']>): string {
  const { rows, end } = rowsOf(finding);
  return `<figure>
<div class="scroll">${lanes(rows, end)}</div>
<figcaption>Each bar lasts from the moment a client asked to the moment it was answered; the operation happened somewhere
inside it. A bar that fades was never answered: it may have happened later, or not at all. The marked one cannot be given a
place beside the others.</figcaption>
</figure>
${table(rows)}`;
}

/** A lane for each client, and in it a row for each of its operations that would lie over another one's label. */
function lanes(rows: readonly Row[], end: number): string {
  const inner = WIDTH - LANE_LEFT - LANE_RIGHT;
  const x = (time: number): number => LANE_LEFT + (end === 0 ? 0 : (time / end) * inner * 0.97);
  const clients = [...new Set(rows.map(({ client }) => client))];
  const shapes: string[] = [];
  let y = HEAD_HEIGHT;
  for (const client of clients) {
    const own = rows.filter((row) => row.client === client);
    const levels: number[] = [];
    const drawn: string[] = [];
    for (const row of own) {
      const left = x(row.from);
      const right = row.to === null ? WIDTH - LANE_RIGHT : Math.max(x(row.to), left + BAR_WIDTH_MIN);
      const text = fitted(row.text, WIDTH - LANE_LEFT - LANE_RIGHT);
      const textWidth = text.length * CHARACTER_WIDTH;
      const textLeft = Math.min(left, WIDTH - LANE_RIGHT - textWidth);
      let level = levels.findIndex((taken) => taken < Math.min(left, textLeft));
      if (level < 0) level = levels.length;
      levels[level] = Math.max(right, textLeft + textWidth) + 10;
      drawn.push(bar(row, { left, right, textLeft, text, top: y + level * ROW_HEIGHT }));
    }
    const height = Math.max(1, levels.length) * ROW_HEIGHT;
    shapes.push(
      `<g><line class="lane" x1="0" x2="${WIDTH}" y1="${y}" y2="${y}"/>` +
        `<text class="client" x="8" y="${y + 29}">client ${client}</text>${drawn.join('')}</g>`,
    );
    y += height + 6;
  }
  return `<svg viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-label="Operations over time, a lane for each client">
<defs><linearGradient id="open"><stop offset="0" stop-color="var(--bar)"/><stop offset="1" stop-color="var(--bar)" stop-opacity="0"/></linearGradient>
<linearGradient id="open-impossible"><stop offset="0" stop-color="var(--bad)"/><stop offset="1" stop-color="var(--bad)" stop-opacity="0"/></linearGradient></defs>
${axis(x, end, y)}
${shapes.join('\n')}
</svg>`;
}

function bar(
  row: Row,
  place: { left: number; right: number; textLeft: number; text: string; top: number },
): string {
  const { left, right, textLeft, text, top } = place;
  const y = top + 22;
  const name = row.impossible ? 'impossible' : row.kind;
  const open = row.to === null ? ` open` : '';
  const until = row.to === null ? 'never answered' : `until ${span(row.to)} (${span(row.to - row.from)})`;
  const hint = `client ${row.client}, ${row.key}: ${row.text}\nfrom ${span(row.from)} ${until}`;
  const body =
    row.kind === 'lost'
      ? `<path d="M${round(left)} ${y - 3}v${BAR_HEIGHT + 6}"/>`
      : `<rect x="${round(left)}" y="${y}" width="${round(right - left)}" height="${BAR_HEIGHT}" rx="3"/>`;
  return `<g class="operation ${name}${open}" tabindex="0"><title>${escaped(hint)}</title>${body}<text x="${round(textLeft)}" y="${y - 6}">${row.impossible ? '✗ ' : ''}${escaped(text)}</text></g>`;
}

/** Four to eight marks at round times. */
function axis(x: (time: number) => number, end: number, height: number): string {
  if (end === 0) return '';
  const raw = end / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((each) => each * power >= raw) as number) * power;
  const marks: string[] = [];
  for (let time = 0; time <= end; time += step) {
    const at = round(x(time));
    marks.push(
      `<line class="mark" x1="${at}" x2="${at}" y1="${HEAD_HEIGHT - 8}" y2="${height}"/><text class="time" x="${at}" y="16">${time === 0 ? '0' : span(time)}</text>`,
    );
  }
  return marks.join('');
}

function table(rows: readonly Row[]): string {
  const body = rows.map(
    (row) =>
      `<tr${row.impossible ? ' class="impossible"' : ''}><td>${row.impossible ? '✗' : ''}</td><td class="number">${row.client}</td>` +
      `<td>${escaped(row.key)}</td><td>${escaped(row.text)}</td><td class="number">${span(row.from)}</td><td class="number">${row.to === null ? 'never answered' : span(row.to)}</td></tr>`,
  );
  return `<div class="scroll"><table><thead><tr><th></th><th class="number">client</th><th>on</th><th>operation</th><th class="number">from</th><th class="number">to</th></tr></thead>
<tbody>${body.join('\n')}</tbody></table></div>`;
}

function fitted(text: string, width: number): string {
  const room = Math.floor(width / CHARACTER_WIDTH);
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  const names: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  // Control characters are not allowed in a page, whatever the record held.
  return (
    text
      .replace(/[&<>"']/g, (found) => names[found] as string)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones to take out
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '�')
  );
}

const STYLE = `
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2026;--soft:#5b6470;--line:#e3e6ea;--bar:#4c78a8;--bad:#c62f3a;--bad-paper:#fdf0f0;--good:#2d7d46;--open:#9a6700}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e6e9ed;--soft:#98a2ae;--line:#2a3037;--bar:#6ea3d8;--bad:#ff6f76;--bad-paper:#2b181b;--good:#5cc27d;--open:#e0b050}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:${WIDTH}px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:22px;margin:2px 0 0}
.verdict{margin:0;font-weight:600;text-transform:uppercase;letter-spacing:.06em;font-size:13px}
.not-linearizable{color:var(--bad)}.linearizable{color:var(--good)}.unknown{color:var(--open)}
.about,figcaption{color:var(--soft);font-size:13px;margin:4px 0 0}
.why{border-left:3px solid var(--bad);padding:2px 0 2px 14px;margin:20px 0;overflow-wrap:anywhere}.why p{margin:6px 0}
figure{margin:22px 0}.scroll{overflow-x:auto}
svg text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:var(--ink)}
svg .client{font:600 13px system-ui,sans-serif}svg .time{fill:var(--soft);font-size:11px;text-anchor:middle}
.lane,.mark{stroke:var(--line)}.mark{stroke-dasharray:2 4}
.operation rect{fill:var(--bar)}.operation.open rect{fill:url(#open)}
.impossible rect{fill:var(--bad)}.impossible.open rect{fill:url(#open-impossible)}
.impossible text{fill:var(--bad);font-weight:700}
.lost path{stroke:var(--open);stroke-width:3}
.operation:focus{outline:none}.operation:focus rect,.operation:hover rect{stroke:var(--ink);stroke-width:1.5}
table{border-collapse:collapse;width:100%;font-size:13px;margin-top:20px}
th{text-align:left;color:var(--soft);font-weight:500}
td,th{padding:6px 10px;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
td:nth-child(1){width:1em}td:nth-child(2),td:nth-child(3),td:nth-child(5),td:nth-child(6){width:1px;white-space:nowrap}
td:nth-child(4){font-family:ui-monospace,Menlo,Consolas,monospace}
.number{text-align:right;white-space:nowrap}
tr.impossible{background:var(--bad-paper);color:var(--bad)}
`;
