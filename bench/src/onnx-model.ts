/**
 * Encodes one-graph ONNX models of float32 tensors, so that ONNX Runtime can time the same work as our kernels.
 *
 * Only the handful of protobuf fields that such models need (onnx.proto3, IR version 8, opset 17).
 */

/** A node: operator, its inputs and outputs by name, and integer or float attributes. */
export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>;
}

/** A named float32 tensor of fixed shape. */
export interface OnnxValue {
  readonly name: string;
  readonly shape: readonly number[];
}

const IR_VERSION = 8;
const OPSET = 17;
const FLOAT_ELEMENT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest > 127) {
    out.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return out;
}

function integer(field: number, value: number): number[] {
  return [...varint(field * 8), ...varint(value)];
}

function bytes(field: number, content: readonly number[]): number[] {
  return [...varint(field * 8 + 2), ...varint(content.length), ...content];
}

function text(field: number, value: string): number[] {
  return bytes(field, [...new TextEncoder().encode(value)]);
}

function attribute(name: string, value: number | readonly number[]): number[] {
  if (typeof value === 'number') {
    return [...text(1, name), ...integer(3, value), ...integer(20, ATTRIBUTE_INT)];
  }
  return [
    ...text(1, name),
    ...value.flatMap((item) => integer(8, item)),
    ...integer(20, ATTRIBUTE_INTS),
  ];
}

function node(source: OnnxNode): number[] {
  return [
    ...source.inputs.flatMap((name) => text(1, name)),
    ...source.outputs.flatMap((name) => text(2, name)),
    ...text(4, source.op),
    ...Object.entries(source.attributes ?? {}).flatMap(([name, value]) =>
      bytes(5, attribute(name, value)),
    ),
  ];
}

function valueInfo({ name, shape }: OnnxValue): number[] {
  const dimensions = shape.flatMap((extent) => bytes(1, integer(1, extent)));
  const tensor = [...integer(1, FLOAT_ELEMENT), ...bytes(2, dimensions)];
  return [...text(1, name), ...bytes(2, bytes(1, tensor))];
}

/** The bytes of a model with the given graph. */
export function encodeOnnxModel(
  nodes: readonly OnnxNode[],
  inputs: readonly OnnxValue[],
  outputs: readonly OnnxValue[],
): Uint8Array {
  const graph = [
    ...nodes.flatMap((item) => bytes(1, node(item))),
    ...text(2, 'bench'),
    ...inputs.flatMap((item) => bytes(11, valueInfo(item))),
    ...outputs.flatMap((item) => bytes(12, valueInfo(item))),
  ];
  return Uint8Array.from([
    ...integer(1, IR_VERSION),
    ...bytes(7, graph),
    ...bytes(8, [...text(1, ''), ...integer(2, OPSET)]),
  ]);
}
