/** The times at which a flow is evaluated. */
import { InputError } from '@pergola/core';

/**
 * Times from 1 (noise) to 0 (data), `steps + 1` of them, in double precision.
 *
 * @param rescale above 1 it moves the steps towards the noise: `t = r u / (1 + (r - 1) u)` for evenly spaced u.
 * @throws InputError unless `steps` is a positive integer and `rescale` a positive number.
 * @see Esser et al., Scaling Rectified Flow Transformers, arXiv 2403.03206, section 5.3.2
 */
export function timeGrid(steps: number, rescale = 1): number[] {
  if (!Number.isInteger(steps) || steps < 1) {
    throw new InputError(`timeGrid: steps must be an integer of at least 1, got ${steps}.`);
  }
  if (!(rescale > 0 && Number.isFinite(rescale))) {
    throw new InputError(`timeGrid: rescale must be a positive number, got ${rescale}.`);
  }
  const step = -1 / steps;
  return Array.from({ length: steps + 1 }, (_, i) => {
    const even = i === steps ? 0 : i * step + 1;
    return (rescale * even) / (1 + (rescale - 1) * even);
  });
}
