import { Injectable } from '@nestjs/common';

/** Tells the dispatcher of this process that something was committed for it. Without it, its interval does. */
@Injectable()
export class DeliveryWakeUp {
  private listener: () => void = () => undefined;

  onRing(listener: () => void): void {
    this.listener = listener;
  }

  ring(): void {
    this.listener();
  }
}
