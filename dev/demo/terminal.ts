import type { WriteStream } from 'node:tty';

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

const SGR: Record<Style, number> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 };
// eslint-disable-next-line no-control-regex -- the escapes that `paint` writes
const ESCAPES = /\x1b\[\d+m/g;

/** How much of the line is left for a step's name. */
const STEP_WIDTH = 18;

/**
 * Lines that stay, and below them a few live ones that are redrawn in place. Where the output is no terminal there are no
 * live lines and no control characters at all, so that it can go to a file or a CI log.
 */
export class Terminal {
  /** Whether live lines are shown. */
  readonly interactive: boolean;
  /** Whether characters beyond ASCII can be expected to come out right. */
  readonly unicode: boolean;
  private readonly colored: boolean;
  private live: string[] = [];
  private readonly startedAtMs = performance.now();

  constructor(
    private readonly out: WriteStream,
    env: NodeJS.ProcessEnv,
  ) {
    this.interactive = out.isTTY === true && env.TERM !== 'dumb';
    this.unicode = this.interactive && speaksUtf8(env);
    this.colored = this.interactive && !env.NO_COLOR;
  }

  paint(style: Style, text: string): string {
    return this.colored && text !== '' ? `\x1b[${SGR[style]}m${text}\x1b[0m` : text;
  }

  print(text = ''): void {
    this.draw(`${text}\n`, this.live);
  }

  /** Replaces the live lines. */
  show(lines: string[]): void {
    if (this.interactive) this.draw('', lines);
  }

  /** Seconds since the start of the program, right-aligned. */
  elapsed(): string {
    const seconds = (performance.now() - this.startedAtMs) / 1_000;
    return this.paint('dim', `${seconds.toFixed(1).padStart(5)} s`);
  }

  /** Runs one step of the preparation; `describe` tells on its line what came of it. */
  async step<T>(name: string, work: () => Promise<T>, describe: (result: T) => string): Promise<T> {
    this.show([`          ${this.paint('dim', `${name} …`)}`]);
    try {
      const result = await work();
      const mark = this.paint('green', this.unicode ? '✓' : 'ok');
      this.draw(`${this.elapsed()}  ${mark} ${name.padEnd(STEP_WIDTH)}${describe(result)}\n`, []);
      return result;
    } finally {
      this.show([]);
    }
  }

  /** Writes lines that stay and the live ones below them, in one go so that nothing flickers. */
  private draw(text: string, live: string[]): void {
    const erase = this.live.length > 0 ? `\x1b[${this.live.length}A\r\x1b[J` : '';
    this.live = live;
    this.out.write(`${erase}${text}${live.map((line) => `${this.fit(line)}\n`).join('')}`);
  }

  /** A line that wraps would be two, and the next redraw would erase one too few. */
  private fit(line: string): string {
    const width = (this.out.columns || 80) - 1;
    const plain = line.replaceAll(ESCAPES, '');
    return plain.length > width ? plain.slice(0, width) : line;
  }
}

function speaksUtf8(env: NodeJS.ProcessEnv): boolean {
  if (process.platform === 'darwin' || env.WT_SESSION) return true;
  return /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '');
}
