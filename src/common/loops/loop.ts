/** One bounded batch of work. Returns true when there is more to do at once. */
export type Tick = () => Promise<boolean>;

/**
 * A shell around a tick: runs it now and then, or sooner when kicked, never twice at a time. A tick that throws is
 * reported and tried again at the next interval; it never ends the loop.
 */
export class Loop {
  private running: Promise<void> | undefined;
  private kicked = false;
  private stopped = false;

  constructor(
    readonly name: string,
    private readonly tick: Tick,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Runs the tick as soon as the current one, if any, has ended. */
  kick(): void {
    if (this.stopped) return;
    this.kicked = true;
    this.running ??= this.run().finally(() => {
      this.running = undefined;
      if (this.kicked) this.kick();
    });
  }

  /** Takes no further tick and waits for the one under way. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async run(): Promise<void> {
    while (this.kicked && !this.stopped) {
      this.kicked = false;
      try {
        if (await this.tick()) this.kicked = true;
      } catch (error) {
        this.onError(error);
      }
    }
  }
}
