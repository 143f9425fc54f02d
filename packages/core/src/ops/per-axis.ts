/** Options that are one number for all spatial axes or one number for each. */
import { InputError } from '../errors.ts';
import { formatShape } from '../shape.ts';

/** One integer for every spatial axis, or one for each. */
export type PerAxis = number | readonly number[];

/** The values for `axes` spatial axes. */
export function perAxis(value: PerAxis, axes: number): number[] {
  return typeof value === 'number' ? new Array<number>(axes).fill(value) : [...value];
}

/** @throws InputError unless `values` holds one integer of at least `least` for each axis. */
export function checkPerAxis(
  op: string,
  name: string,
  values: readonly number[],
  axes: number,
  least: number,
): void {
  if (values.length !== axes || values.some((v) => !Number.isInteger(v) || v < least)) {
    throw new InputError(
      `${op}: ${name} must be ${axes} integers of at least ${least}, got ${formatShape(values)}.`,
    );
  }
}

/** Where the channel axis of an image or volume lies: `[B, C, ...]` or `[B, ..., C]`. */
export type SpatialLayout = 'channelsFirst' | 'channelsLast';

/** @throws InputError unless `layout` is a `SpatialLayout`. */
export function checkLayout(op: string, layout: string): void {
  if (layout !== 'channelsFirst' && layout !== 'channelsLast') {
    throw new InputError(`${op}: layout must be channelsFirst or channelsLast, got ${layout}.`);
  }
}
