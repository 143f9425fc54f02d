/** Shapes of attention on matrix units that are worth timing. */
import { MATRIX } from '../src/wgsl/matrix-units.ts';
import type { MatrixShape } from '../src/attention/matrix-shape.ts';

/** A shape for a head depth, by the name `<subgroups>x<rowTiles>x<keys>`. */
export function attentionShape(name: string, depth: number): MatrixShape {
  const match = /^(\d+)x([12])x(\d+)$/.exec(name);
  if (match === null) throw new Error(`tune-attention: shapes are like 4x2x16, got ${name}.`);
  return {
    subgroups: Number(match[1]),
    rowTiles: match[2] === '1' ? 1 : 2,
    keys: Number(match[3]),
    depthTiles: Math.ceil(depth / MATRIX),
  };
}

export const ATTENTION_SHAPES: readonly string[] = [
  ...['2x2x16', '4x2x16', '8x2x16', '4x2x32'],
  // Half the registers of sums, twice the reads of keys and values.
  ...['4x1x16', '8x1x16'],
];
