/** 4x4 blocks of operands as WGSL matrices: `blocks * blocks` is 64 multiplications in one expression. */
import type { Operand, Side } from './operand.ts';

const FOUR = [0, 1, 2, 3];

/**
 * Statements that declare the handles `<name>0...` of four neighbouring lines from `line` on.
 *
 * @param name sets the blocks of one side apart; the side itself by default.
 */
export function blockLines(
  side: Side,
  { along }: Operand,
  base: string,
  line: string,
  name: string = side,
): string {
  const handles = along === 'depth' ? FOUR : [0];
  return handles
    .map((i) => `let ${name}${i} = ${side}_line(${base}, ${line} + ${i}u);`)
    .join('\n  ');
}

/**
 * A `mat4x4<f32>` expression of the block at `depth`, from the handles of `blockLines`.
 *
 * Left blocks have a column for each line, right blocks one for each step of the depth. So `right * left` holds, in
 * column i, the sums of row i over the four columns.
 */
export function block(side: Side, { along }: Operand, depth: string, name: string = side): string {
  const reads = FOUR.map((i) =>
    along === 'depth'
      ? `${side}_read(${name}${i}, ${depth})`
      : `${side}_read(${name}0, ${depth} + ${i}u)`,
  );
  const matrix = `mat4x4<f32>(${reads.join(', ')})`;
  return (along === 'depth') === (side === 'left') ? matrix : `transpose(${matrix})`;
}
