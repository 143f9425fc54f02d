/**
 * Euler steps that are recorded once for each kind of work and replayed from then on: state, time and step length lie in
 * device memory that is written in place.
 */
import {
  assign,
  assignData,
  mul,
  recordStep,
  sub,
  type RecordedStep,
  type Tensor,
} from '@pergola/core';
import type { Integration, StepResult, StepTimes, Velocity } from './flow-euler.ts';

/** What makes the steps of a velocity repeatable. */
export interface StepRecording {
  /**
   * Called with the flow time before each step. The velocity must find it where this puts it, and must not use the
   * time of its arguments.
   */
  readonly setTime: (t: number) => void;
  /** Equal for steps that do the same work, on other values of state and time. */
  readonly workOf: (t: number, step: number) => string;
}

/** A state in fixed memory, moved by recorded steps. The velocity must be synchronous. */
export class RecordedIntegration implements Integration {
  readonly #velocity: Velocity;
  readonly #recording: StepRecording;
  readonly #x: Tensor;
  readonly #before: Tensor;
  readonly #length: Tensor;
  readonly #recorded: Map<string, RecordedStep<Tensor>> = new Map();
  readonly #seen: Set<string> = new Set();
  #finished = false;

  constructor(velocity: Velocity, noise: Tensor, recording: StepRecording) {
    this.#velocity = velocity;
    this.#recording = recording;
    const { device } = noise;
    [this.#x, this.#before] = [
      device.empty(noise.dtype, noise.shape),
      device.empty(noise.dtype, noise.shape),
    ];
    this.#length = device.scalar(0, noise.dtype);
    assign(this.#x, noise);
  }

  async step(times: StepTimes, watch: (step: StepResult) => Promise<void>): Promise<void> {
    const { t, tNext, number } = times;
    const { device } = this.#x;
    this.#recording.setTime(t);
    assignData(this.#length, [t - tNext]);
    const work = this.#recording.workOf(t, number);
    await device.run(async () => {
      const v = this.#evaluate(work, times);
      await watch({ before: this.#before, v, x: this.#x });
    });
  }

  /** Takes the step. Returns the velocity. */
  #evaluate(work: string, { t, number }: StepTimes): Tensor {
    const body = (): Tensor => {
      assign(this.#before, this.#x);
      const v = this.#velocity(this.#x, t, number) as Tensor;
      assign(this.#x, sub(this.#before, mul(v, this.#length)));
      return v;
    };
    const recorded = this.#recorded.get(work);
    if (recorded !== undefined) {
      recorded.replay();
      return recorded.result;
    }
    // The first time kernels are still chosen and compiled, which must not become part of a recording.
    if (!this.#seen.has(work)) {
      this.#seen.add(work);
      return this.#x.device.run(body);
    }
    const step = recordStep(this.#x.device, body);
    step.result.keep();
    this.#recorded.set(work, step);
    return step.result;
  }

  finish(): Tensor {
    this.#finished = true;
    return this.#x;
  }

  [Symbol.dispose](): void {
    for (const step of this.#recorded.values()) {
      step.result.dispose();
      step.dispose();
    }
    this.#before.dispose();
    this.#length.dispose();
    if (!this.#finished) this.#x.dispose();
  }
}
