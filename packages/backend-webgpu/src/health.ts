/** What went wrong on a device: WebGPU reports errors and loss asynchronously, the next wait throws them. */
import { DeviceLostError } from '@pergola/core';
import { GpuProgramError } from './errors.ts';

/** Collects the failures of one device. */
export class DeviceHealth {
  #failure: Error | undefined;
  #cause: Error | undefined;
  #lost: DeviceLostError | undefined;
  readonly #pending: Set<Promise<void>> = new Set();
  /** Rejects once the device is lost; never resolves. */
  readonly #loss: Promise<never>;

  constructor(device: GPUDevice) {
    this.#loss = device.lost.then((info) => {
      this.#lost = new DeviceLostError(
        `webgpu: the device was lost (${info.reason}): ${info.message || 'no details given'}; its tensors are gone, make a new device.`,
      );
      throw this.#lost;
    });
    // Work that nobody waits for must not end the process when the device goes away.
    this.#loss.catch(() => undefined);
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.report(new GpuProgramError(`webgpu: the device rejected work: ${event.error.message}`));
    });
  }

  /** @throws DeviceLostError when the device is gone. */
  check(): void {
    if (this.#lost !== undefined) throw this.#lost;
  }

  /** Remembers a failure for the next wait. The first one counts: later ones follow from it. */
  report(error: Error): void {
    this.#failure ??= error;
  }

  /** Puts `error` before failures that only follow from it. */
  reportCause(error: Error): void {
    this.#cause ??= error;
  }

  /** Makes the next wait also wait for `check`. */
  watch(check: Promise<void>): void {
    const done = check
      .catch(() => undefined)
      .then(() => {
        this.#pending.delete(done);
      });
    this.#pending.add(done);
  }

  /** Awaits `work`; rejects with DeviceLostError as soon as the device is lost. */
  async guard<T>(work: Promise<T>): Promise<T> {
    try {
      return await Promise.race([work, this.#loss]);
    } catch (error) {
      // A map request fails a moment before the loss itself is known.
      await Promise.race([this.#loss, new Promise((resolve) => setTimeout(resolve, 0))]);
      this.check();
      throw error;
    }
  }

  /** Waits for all checks under way, then throws the remembered failure, once. */
  async settle(): Promise<void> {
    while (this.#pending.size > 0) await this.guard(Promise.all(this.#pending));
    this.check();
    const failure = this.#cause ?? this.#failure;
    this.#cause = undefined;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }
}
