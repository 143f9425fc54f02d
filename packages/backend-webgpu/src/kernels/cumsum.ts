/** `cumsum`: scans along the last axis, one invocation per column along any other. */
import { UnsupportedOpError, type CumsumAttrs, type DType } from '@pergola/core';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import { valueType } from '../wgsl/access.ts';
import { axisRows, type AxisRows } from './axis-rows.ts';
import { enqueue, type Launch } from './launch.ts';
import { planScan, type Scan } from './scan.ts';

type Strategy = 'columns' | 'group' | 'blocks';
const STRATEGIES: readonly Strategy[] = ['columns', 'group', 'blocks'];
const WORKGROUP = 64;

function columnLaunch(
  context: WebGpuContext,
  dtype: DType,
  { outer, extent, inner }: AxisRows,
  exclusive: boolean,
): Launch {
  const type = valueType(dtype);
  const stored = exclusive
    ? 'store_out(at, total); total += value;'
    : 'total += value; store_out(at, total);';
  const program = context.program({
    label: `cumsum.columns.${dtype}`,
    bindings: [
      { name: 'x', dtype, use: 'read' },
      { name: 'out', dtype, use: 'write' },
    ],
    params: { extent: 'u32', inner: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(index: u32) {
  let start = (index / params.inner) * params.extent * params.inner + index % params.inner;
  var total = ${type}(0);
  for (var e = 0u; e < params.extent; e++) {
    let at = start + e * params.inner;
    let value = load_x(at);
    ${stored}
  }
}`,
  });
  return { program, params: program.pack({ extent, inner }), count: outer * inner };
}

export const cumsumKernel: WebGpuKernel<CumsumAttrs, Scan> = {
  op: 'cumsum',
  strategies: STRATEGIES,
  supports: () => true,
  prepare({ inputs, attrs }, context, forced) {
    const { dtype, shape } = inputs[0]!;
    const split = axisRows(shape, attrs.axis);
    // Scans want the axis last.
    if (split.inner > 1 && forced !== undefined && forced !== 'columns') {
      throw new UnsupportedOpError(`cumsum: strategy ${forced} sums along the last axis alone.`);
    }
    if (split.inner > 1 || forced === 'columns') {
      const launch = columnLaunch(context, dtype, split, attrs.exclusive);
      return (target, x, out) => enqueue(target, launch, [x, out]);
    }
    const rows = { rows: split.outer, length: split.extent, exclusive: attrs.exclusive };
    return planScan(context, dtype, dtype, rows, forced as 'group' | 'blocks' | undefined);
  },
  run(plan, [x], [out], context) {
    plan(context, x!, out!);
  },
};
