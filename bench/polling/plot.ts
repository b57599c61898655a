/** A line of a plot. Its points are drawn in their order. */
export interface Series {
  name: string;
  points: { label: string; x: number; y: number }[];
}

const WIDTH = 640;
const HEIGHT = 400;
const MARGIN = { left: 60, right: 20, top: 20, bottom: 50 };
const COLORS = ['#888888', '#1f77b4', '#2ca02c', '#d62728'];

/** An SVG with logarithmic axes. */
export function drawPlot(series: Series[], xTitle: string, yTitle: string): string {
  const all = series.flatMap(({ points }) => points);
  const x = axis(
    all.map((point) => point.x),
    MARGIN.left,
    WIDTH - MARGIN.right,
  );
  const y = axis(
    all.map((point) => point.y),
    HEIGHT - MARGIN.bottom,
    MARGIN.top,
  );
  const bottom = HEIGHT - MARGIN.bottom;
  const parts = [
    ...x.ticks.map((tick) => gridLine(x.at(tick), MARGIN.top, x.at(tick), bottom)),
    ...x.ticks.map((tick) => text(x.at(tick), bottom + 16, String(tick), 'middle')),
    ...y.ticks.map((tick) => gridLine(MARGIN.left, y.at(tick), WIDTH - MARGIN.right, y.at(tick))),
    ...y.ticks.map((tick) => text(MARGIN.left - 6, y.at(tick) + 4, String(tick), 'end')),
    text((MARGIN.left + WIDTH) / 2, HEIGHT - 12, xTitle, 'middle'),
    `<g transform="rotate(-90 16 ${HEIGHT / 2})">${text(16, HEIGHT / 2, yTitle, 'middle')}</g>`,
    ...series.flatMap(({ name, points }, i) => {
      const color = COLORS[i % COLORS.length] ?? '#000000';
      const places = points.map((point) => ({ ...point, px: x.at(point.x), py: y.at(point.y) }));
      const line = places.map(({ px, py }) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ');
      return [
        `<polyline points="${line}" fill="none" stroke="${color}" stroke-width="2"/>`,
        ...places.map(({ px, py }) => `<circle cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="3" fill="${color}"/>`),
        ...places.map(({ px, py, label }) => text(px + 5, py - 6, label, 'start')),
        text(WIDTH - MARGIN.right - 8, MARGIN.top + 16 + 18 * i, name, 'end', color),
      ];
    }),
  ];
  const font = 'font-family="sans-serif" font-size="12"';
  const frame = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ${font}>`;
  return [frame, '<rect width="100%" height="100%" fill="#ffffff"/>', ...parts, '</svg>', ''].join('\n');
}

function axis(values: number[], from: number, to: number): { at: (value: number) => number; ticks: number[] } {
  const [low, high] = [Math.log10(Math.min(...values)) - 0.1, Math.log10(Math.max(...values)) + 0.1];
  const at = (value: number): number => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
  const decades = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i);
  const ticks = decades.flatMap((decade) => [1, 2, 5].map((step) => Number((step * 10 ** decade).toPrecision(1))));
  return { at, ticks: ticks.filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high) };
}

function gridLine(x1: number, y1: number, x2: number, y2: number): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map((value) => value.toFixed(1));
  return `<line x1="${a}" y1="${b}" x2="${c}" y2="${d}" stroke="#e0e0e0"/>`;
}

function text(x: number, y: number, words: string, anchor: string, color = '#333333'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="${color}">${words}</text>`;
}
