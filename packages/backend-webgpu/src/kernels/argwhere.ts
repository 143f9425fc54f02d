/** `argwhere`: mark what is not zero, number the marks by a running sum, write the coordinates to their rows. */
import { contiguousStrides, sizeOf, type Binding } from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import { valueType } from '../wgsl/access.ts';
import type { ParamType } from '../wgsl/program.ts';
import { enqueue, type Launch } from './launch.ts';
import { planScan, type Scan } from './scan.ts';

const WORKGROUP = 256;

interface Plan {
  readonly mark: Launch;
  readonly number: Scan;
  readonly write: Launch;
  readonly size: number;
  readonly rank: number;
}

/** Coordinates of marked elements, in the row that their number names; the last element also writes the count. */
function writeLaunch(context: WebGpuContext, shape: readonly number[]): Launch {
  const types: Record<string, ParamType> = {};
  const values: Record<string, number> = {};
  const lines = contiguousStrides(shape).map((stride, axis) => {
    types[`stride${axis}`] = 'u32';
    types[`extent${axis}`] = 'u32';
    values[`stride${axis}`] = stride;
    values[`extent${axis}`] = shape[axis]!;
    const position = `(index / params.stride${axis}) % params.extent${axis}`;
    return `store_coordinates(row * ${shape.length}u + ${axis}u, i32(${position}));`;
  });
  const program = context.program({
    label: 'argwhere.write',
    bindings: [
      { name: 'marks', dtype: 'u32', use: 'read' },
      { name: 'rows', dtype: 'u32', use: 'read' },
      { name: 'coordinates', dtype: 'i32', use: 'write' },
      { name: 'found', dtype: 'i32', use: 'write' },
    ],
    params: types,
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(index: u32) {
  let row = load_rows(index);
  let mark = load_marks(index);
  if (index + 1u == params.count) { store_found(0u, i32(row + mark)); }
  if (mark == 0u) { return; }
  ${lines.join('\n  ')}
}`,
  });
  return { program, params: program.pack(values), count: sizeOf(shape) };
}

export const argwhereKernel: WebGpuKernel<object, Plan> = {
  op: 'argwhere',
  supports: () => true,
  prepare({ inputs }, context) {
    const { dtype, shape } = inputs[0]!;
    const size = sizeOf(shape);
    const type = valueType(dtype);
    const mark = context.program({
      label: `argwhere.mark.${dtype}`,
      bindings: [
        { name: 'x', dtype, use: 'read' },
        { name: 'marks', dtype: 'u32', use: 'write' },
      ],
      params: {},
      each: 'element',
      workgroup: WORKGROUP,
      // NaN is not zero.
      body: `fn run(index: u32) { store_marks(index, select(1u, 0u, load_x(index) == ${type}(0))); }`,
    });
    return {
      mark: { program: mark, params: mark.pack({}), count: size },
      number: planScan(context, 'u32', 'u32', { rows: 1, length: size, exclusive: true }),
      write: writeLaunch(context, shape),
      size,
      rank: shape.length,
    };
  },
  run({ mark, number, write, size, rank }, [x], [coordinates, found], context) {
    const clear = ({ buffer, offset }: Binding<GpuBuffer>, elements: number): void =>
      context.clear(buffer, offset * 4, elements * 4);
    clear(coordinates!, size * rank);
    clear(found!, 1);
    const marks = context.scratch(size);
    const rows = context.scratch(size);
    enqueue(context, mark, [x!, marks]);
    number(context, marks, rows);
    enqueue(context, write, [marks, rows, coordinates!, found!]);
    context.release(marks, rows);
  },
};
