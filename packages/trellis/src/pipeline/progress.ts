/** Progress and cancellation of long calls. */

/** Parts of a run, in the order in which they happen. */
export type Stage =
  | 'condition'
  | 'structure'
  | 'occupancy'
  | 'latent'
  | 'gaussians'
  | 'radianceField'
  | 'mesh';

/** Told when a stage starts (step 0) and after each of its steps. */
export interface ProgressEvent {
  readonly stage: Stage;
  /** Steps done, from 0 to `steps`. */
  readonly step: number;
  readonly steps: number;
  /** `step / steps`. */
  readonly fraction: number;
}

/** How a long call is watched and stopped. */
export interface RunControl {
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
  /** Stops the call between two steps; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

declare const setImmediate: ((callback: () => void) => unknown) | undefined;

/** Lets timers, signals and input be handled before work goes on. */
export async function yieldToEvents(): Promise<void> {
  await new Promise<void>((resolve) => {
    // A promise alone would not leave the microtask queue; browsers have no setImmediate.
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}

/** Reports the steps of one stage, and gives the caller a chance to stop it at each. */
export class StageProgress {
  readonly #stage: Stage;
  readonly #steps: number;
  readonly #control: RunControl;

  constructor(stage: Stage, steps: number, control: RunControl = {}) {
    this.#stage = stage;
    this.#steps = steps;
    this.#control = control;
  }

  /** @param step steps done. @throws the signal's reason when it was aborted. */
  async report(step: number): Promise<void> {
    const steps = this.#steps;
    this.#control.onProgress?.({ stage: this.#stage, step, steps, fraction: step / steps });
    await yieldToEvents();
    this.#control.signal?.throwIfAborted();
  }
}

/** A stage of one step: reports its start and its end. */
export async function singleStep<T>(
  stage: Stage,
  control: RunControl,
  body: () => Promise<T>,
): Promise<T> {
  const progress = new StageProgress(stage, 1, control);
  await progress.report(0);
  const result = await body();
  await progress.report(1);
  return result;
}
