/**
 * Classifier-free guidance: pushes a prediction away from what the network says of the negative condition.
 *
 * @see Ho and Salimans, Classifier-Free Diffusion Guidance, arXiv 2207.12598
 * @see Kynkäänniemi et al., Applying Guidance in a Limited Interval, arXiv 2404.07724
 */
import { add, div, InputError, mul, sub, type Tensor } from '@pergola/core';
import type { Velocity } from './flow-euler.ts';

/**
 * A network as guidance sees it: velocity of `x` under a condition.
 *
 * @param time see `networkTime`.
 */
export type ConditionedVelocity<Condition> = (
  x: Tensor,
  time: number,
  condition: Condition,
) => Tensor | Promise<Tensor>;

/** How several conditions share one sample. */
export type MultiConditionMode = 'stochastic' | 'multidiffusion';

/** How the velocity of a step is made of predictions. */
export interface GuidanceOptions<Condition> {
  /** One condition, or several: one per picture of the same object. */
  readonly conditions: readonly Condition[];
  /** Needed for guidance; without it every step is plain. */
  readonly negative?: Condition | undefined;
  /** s in `(1 + s) v(condition) - s v(negative)`. Default 0; guidance runs at 0 too. */
  readonly strength?: number;
  /** Times at which guidance acts, both ends included. Default [0, 1]. */
  readonly interval?: readonly [low: number, high: number];
  /**
   * `stochastic`: the conditions take turns, one per step. `multidiffusion`: every step averages over all.
   * Default `stochastic`.
   */
  readonly mode?: MultiConditionMode;
}

// The networks were trained on times of this scale.
const TIME_SCALE = 1000;

/** The time as networks take it: times 1000, rounded to f32. */
export function networkTime(t: number): number {
  return Math.fround(TIME_SCALE * t);
}

/** @throws InputError when an option is out of range. */
function checkOptions(options: GuidanceOptions<unknown>): void {
  const { conditions, strength = 0, interval = [0, 1] } = options;
  if (conditions.length === 0) {
    throw new InputError('guidance: conditions must hold at least one condition, got none.');
  }
  if (!Number.isFinite(strength)) {
    throw new InputError(`guidance: strength must be a finite number, got ${strength}.`);
  }
  const [low, high] = interval;
  if (!(low <= high)) {
    throw new InputError(`guidance: interval must be ascending, got [${low}, ${high}].`);
  }
}

/** A velocity whose steps can be told apart by the work they do. */
export interface GuidedVelocity {
  readonly velocity: Velocity;
  /** Equal for steps that do the same work, on other values of state and time. */
  readonly workOf: (t: number, step: number) => string;
}

/**
 * The velocity that a sampler follows.
 *
 * The two predictions of a guided step are separate evaluations, the positive first. The velocity is synchronous where
 * the network is.
 *
 * @throws InputError when an option is out of range.
 */
export function guidedVelocity<Condition>(
  network: ConditionedVelocity<Condition>,
  options: GuidanceOptions<Condition>,
): GuidedVelocity {
  checkOptions(options);
  const { conditions, negative, strength = 0, interval = [0, 1], mode = 'stochastic' } = options;
  const guided = (t: number): boolean =>
    negative !== undefined && t >= interval[0] && t <= interval[1];
  const turn = (step: number): number => step % conditions.length;
  return {
    velocity: (x, t, step) => {
      const time = networkTime(t);
      const chosen = mode === 'stochastic' ? [conditions[turn(step)]!] : conditions;
      const positive = meanVelocity(network, x, time, chosen);
      if (!guided(t)) return positive;
      return after(positive, (positive) =>
        after(network(x, time, negative!), (away) => {
          const result = x.device.run(() => sub(mul(positive, 1 + strength), mul(away, strength)));
          positive.dispose();
          away.dispose();
          return result;
        }),
      );
    },
    workOf: (t, step) => `${mode === 'stochastic' ? turn(step) : 'all'} ${guided(t)}`,
  };
}

type Eventual<T> = T | Promise<T>;

/** `next` on a value, at once where there is nothing to wait for. */
function after<T>(value: Eventual<T>, next: (value: T) => Eventual<T>): Eventual<T> {
  return value instanceof Promise ? value.then(next) : next(value);
}

function meanVelocity<Condition>(
  network: ConditionedVelocity<Condition>,
  x: Tensor,
  time: number,
  conditions: readonly Condition[],
): Eventual<Tensor> {
  let total = network(x, time, conditions[0]!);
  for (const condition of conditions.slice(1)) {
    total = after(total, (before) =>
      after(network(x, time, condition), (next) => {
        const sum = add(before, next);
        before.dispose();
        next.dispose();
        return sum;
      }),
    );
  }
  if (conditions.length === 1) return total;
  return after(total, (total) => {
    const mean = div(total, conditions.length);
    total.dispose();
    return mean;
  });
}
