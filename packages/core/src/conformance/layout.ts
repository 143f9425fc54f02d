/** Inputs of a case on the host and on a device, contiguous or as views of larger tensors. */
import { allocateValues, encodeStorage, type DType } from '../dtype.ts';
import type { Device } from '../device.ts';
import type { HostTensor } from '../op.ts';
import { contiguousStrides, sizeOf, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { ConformanceCase, InputFill, ViewKind } from './case.ts';
import { fillValues, poison, seedOf } from './fill.ts';

/** An input in host memory: its elements in row-major order, and the larger tensor it is cut from. */
export interface CaseInput extends HostTensor {
  /** What is uploaded. */
  readonly base: HostTensor;
  /** Cuts the input from the uploaded base: the base itself, or a view of it. */
  cut(base: Tensor): Tensor;
}

interface Cut {
  readonly base: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
  apply(base: Tensor): Tensor;
}

function contiguousCut(shape: Shape): Cut {
  return { base: shape, strides: contiguousStrides(shape), offset: 0, apply: (base) => base };
}

function transposedCut(shape: Shape): Cut {
  const last = shape.length - 1;
  const base = [...shape];
  [base[last - 1], base[last]] = [base[last]!, base[last - 1]!];
  const strides = contiguousStrides(base);
  [strides[last - 1], strides[last]] = [strides[last]!, strides[last - 1]!];
  return { base, strides, offset: 0, apply: (tensor) => tensor.transpose() };
}

function slicedCut(shape: Shape): Cut {
  const last = shape.length - 1;
  if (last === 0) {
    const extent = shape[0]!;
    const apply = (tensor: Tensor): Tensor => tensor.slice(0, 1, 2 * extent + 1, 2);
    return { base: [2 * extent + 1], strides: [2], offset: 1, apply };
  }
  const base = [...shape];
  base[0] = base[0]! + 2;
  base[last] = base[last]! + 3;
  const strides = contiguousStrides(base);
  const apply = (tensor: Tensor): Tensor => {
    const rows = tensor.slice(0, 1, shape[0]! + 1);
    const cut = rows.slice(last, 1, shape[last]! + 1);
    rows.dispose();
    return cut;
  };
  return { base, strides, offset: strides[0]! + 1, apply };
}

function unboundCut(shape: Shape): Cut {
  const base = [shape[0]!, 3, ...shape.slice(1)];
  const all = contiguousStrides(base);
  const strides = all.filter((_, axis) => axis !== 1);
  return { base, strides, offset: all[1]!, apply: (tensor) => tensor.select(1, 1) };
}

function expandedCut(shape: Shape): Cut {
  const base = [1, ...shape.slice(1)];
  const strides = contiguousStrides(base);
  strides[0] = 0;
  return { base, strides, offset: 0, apply: (tensor) => tensor.expand(...shape) };
}

function cutOf(shape: Shape, view: ViewKind | undefined): Cut {
  if (view === undefined || shape.length === 0) return contiguousCut(shape);
  switch (view) {
    case 'transposed':
      return shape.length === 1 ? slicedCut(shape) : transposedCut(shape);
    case 'sliced':
      return slicedCut(shape);
    case 'unbound':
      return unboundCut(shape);
    case 'expanded':
      return expandedCut(shape);
    default:
      return view satisfies never;
  }
}

/** Calls `visit(row-major index, position in storage)` for every element of a layout. */
function walk(
  shape: Shape,
  { strides, offset }: Cut,
  visit: (index: number, position: number) => void,
): void {
  const place = new Array<number>(shape.length).fill(0);
  const size = sizeOf(shape);
  let position = offset;
  for (let index = 0; index < size; index++) {
    visit(index, position);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position += strides[axis]!;
      if (++place[axis]! < shape[axis]!) break;
      position -= strides[axis]! * shape[axis]!;
      place[axis] = 0;
    }
  }
}

function makeInput(input: InputFill, dtype: DType, seed: number): CaseInput {
  const { shape, fill, view } = input;
  const cut = cutOf(shape, view);
  const wanted = fillValues(fill, sizeOf(shape), dtype, seed);
  const base = allocateValues(dtype, sizeOf(cut.base)).fill(poison(dtype));
  walk(shape, cut, (index, position) => {
    base[position] = wanted[index]!;
  });
  // Read back through the view: where it repeats elements, the last write counts.
  const data = allocateValues(dtype, wanted.length);
  walk(shape, cut, (index, position) => {
    data[index] = base[position]!;
  });
  const whole = { dtype, shape: cut.base, data: base };
  return { dtype, shape, data, base: whole, cut: (tensor) => cut.apply(tensor) };
}

/** The inputs of a case on the host, `float` standing for `dtype`. */
export function makeInputs(
  testCase: ConformanceCase,
  dtype: DType | undefined,
): (CaseInput | undefined)[] {
  return testCase.inputs.map((input, slot) => {
    if (input === undefined) return undefined;
    const seed = seedOf(`${testCase.op.name}/${testCase.name}/${slot}`);
    return makeInput(input, input.dtype === 'float' ? (dtype ?? 'f32') : input.dtype, seed);
  });
}

/** Uploads an input and returns it with the tensor that holds it (the same one when it is contiguous). */
export function uploadInput(device: Device, input: CaseInput): { base: Tensor; tensor: Tensor } {
  const { dtype, shape, data } = input.base;
  const base = device.tensor(encodeStorage(dtype, data), shape, dtype);
  return { base, tensor: input.cut(base) };
}
