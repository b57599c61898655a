/** Work that the ticks of a loop have started and do not wait for. */
export class UnderWay {
  private readonly works = new Set<Promise<void>>();

  get size(): number {
    return this.works.size;
  }

  /**
   * @param work reports its own errors; it must not reject
   * @param onEnd called once its place is free
   */
  add(work: Promise<void>, onEnd: () => void = () => undefined): void {
    const ended = work.finally(() => {
      this.works.delete(ended);
      onEnd();
    });
    this.works.add(ended);
  }

  /** Waits until nothing is under way. */
  async drain(): Promise<void> {
    while (this.works.size > 0) await Promise.all(this.works);
  }
}
