/**
 * Integration of a flow from noise to data by Euler steps.
 *
 * The path is `x_t = (1 - t) x_0 + (σ + (1 - σ) t) ε`, its velocity `(1 - σ) ε - x_0` with σ the noise left at t = 0.
 *
 * @see Liu et al., Flow Straight and Fast, arXiv 2209.03003; Lipman et al., Flow Matching, arXiv 2210.02747
 */
import { canRecord, mul, sub, type Tensor } from '@pergola/core';
import { yieldToEvents } from '../pipeline/progress.ts';
import { RecordedIntegration, type StepRecording } from './recorded-steps.ts';
import { timeGrid } from './time-grid.ts';

/** Predicts the velocity at `x`, for the step of this number. The result is a new tensor of the shape of `x`. */
export type Velocity = (x: Tensor, t: number, step: number) => Tensor | Promise<Tensor>;

/** One finished step. Its tensors live until the callback returns. */
export interface SampleStep {
  /** Steps done, from 1. */
  readonly step: number;
  readonly steps: number;
  /** Time at the start and at the end of the step. */
  readonly t: number;
  readonly tNext: number;
  /** State after the step. */
  readonly x: Tensor;
  /** The data that the flow heads for, as seen at the start of the step. Computed when called, freed with the step. */
  predictedData(): Tensor;
}

/** Options of `integrateFlow`. */
export interface IntegrationOptions {
  readonly steps: number;
  /** See `timeGrid`. Default 1. */
  readonly rescaleT?: number;
  /** Noise left at t = 0. Default 1e-5. */
  readonly sigmaMin?: number;
  /** Called after each step, and awaited. */
  readonly onStep?: ((step: SampleStep) => void | Promise<void>) | undefined;
  /** Stops between two steps with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Lets devices that can do so record steps and replay them. Default: every step is enqueued anew. */
  readonly recording?: StepRecording | undefined;
}

export const INTEGRATION_DEFAULTS: { readonly rescaleT: number; readonly sigmaMin: number } = {
  rescaleT: 1,
  sigmaMin: 1e-5,
};

/**
 * Follows the flow from `noise` at t = 1 to t = 0.
 *
 * Each step runs in a scope of its own, so memory stays that of one evaluation. Times and coefficients are double
 * precision; the state keeps the dtype of the noise.
 *
 * @param noise the state at t = 1; stays the caller's.
 * @returns the state at t = 0.
 * @throws InputError for bad steps; the signal's reason when aborted.
 */
export async function integrateFlow(
  velocity: Velocity,
  noise: Tensor,
  options: IntegrationOptions,
): Promise<Tensor> {
  const { steps, rescaleT, sigmaMin, onStep, signal, recording } = {
    ...INTEGRATION_DEFAULTS,
    ...options,
  };
  const times = timeGrid(steps, rescaleT);
  const { device } = noise;
  using integration =
    recording !== undefined && canRecord(device)
      ? new RecordedIntegration(velocity, noise, recording)
      : new EagerIntegration(velocity, noise);
  for (let i = 0; i < steps; i++) {
    // On the CPU a step never waits, so a caller's abort would otherwise not be heard before the end.
    await yieldToEvents();
    signal?.throwIfAborted();
    const [t, tNext] = [times[i]!, times[i + 1]!];
    await integration.step({ t, tNext, number: i }, async ({ before, v, x }) =>
      onStep?.({
        step: i + 1,
        steps,
        t,
        tNext,
        x,
        predictedData: () => predictedData(before, v, t, sigmaMin),
      }),
    );
  }
  return integration.finish();
}

/** Which step to take. */
export interface StepTimes {
  readonly t: number;
  readonly tNext: number;
  /** From 0. */
  readonly number: number;
}

/** A finished step, for those who watch. */
export interface StepResult {
  /** State before the step. */
  readonly before: Tensor;
  /** Velocity there. */
  readonly v: Tensor;
  /** State after the step. */
  readonly x: Tensor;
}

/** A state that steps move. */
export interface Integration extends Disposable {
  /** Takes a step and waits for `watch`, which sees it in a scope of its own. */
  step(times: StepTimes, watch: (step: StepResult) => Promise<void>): Promise<void>;
  /** Hands over the state; it is the caller's now. */
  finish(): Tensor;
}

/** Enqueues every step anew. */
class EagerIntegration implements Integration {
  readonly #velocity: Velocity;
  #x: Tensor;
  #finished = false;

  constructor(velocity: Velocity, noise: Tensor) {
    this.#velocity = velocity;
    this.#x = noise.alias();
  }

  async step(
    { t, tNext, number }: StepTimes,
    watch: (step: StepResult) => Promise<void>,
  ): Promise<void> {
    const before = this.#x;
    this.#x = await before.device.run(async () => {
      const v = await this.#velocity(before, t, number);
      const x = sub(before, mul(v, t - tNext));
      await watch({ before, v, x });
      return x;
    });
    before.dispose();
  }

  finish(): Tensor {
    this.#finished = true;
    return this.#x;
  }

  [Symbol.dispose](): void {
    if (!this.#finished) this.#x.dispose();
  }
}

/** The data end of the path through `x` at time `t` with velocity `v`: `(1 - σ) x - (σ + (1 - σ) t) v`. */
export function predictedData(x: Tensor, v: Tensor, t: number, sigmaMin: number): Tensor {
  return x.device.run(() => sub(mul(x, 1 - sigmaMin), mul(v, sigmaMin + (1 - sigmaMin) * t)));
}
