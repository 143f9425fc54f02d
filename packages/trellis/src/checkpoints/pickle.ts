/**
 * Reads the part of Python's pickle format that state dictionaries use. Nothing is ever called: the few constructors
 * that a state dictionary needs are recognised by name, everything else is an error.
 *
 * @see Python's pickletools module, which documents every opcode
 */
import { CheckpointError } from '@pergola/core';

/** Reference to a class or function by its full name. */
export class PickledGlobal {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** A call that the pickle asks for. It is not made. */
export class PickledCall {
  readonly name: string;
  readonly args: readonly PickleValue[];
  constructor(name: string, args: readonly PickleValue[]) {
    this.name = name;
    this.args = args;
  }
}

/** Something kept outside the pickle. */
export class PickledReference {
  readonly id: PickleValue;
  constructor(id: PickleValue) {
    this.id = id;
  }
}

/** Lists and tuples are arrays, dictionaries are maps. */
export type PickleValue =
  | null
  | boolean
  | number
  | string
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickledGlobal
  | PickledCall
  | PickledReference;

function fail(message: string): never {
  throw new CheckpointError(`pickle: ${message}.`);
}

const MARK = Symbol('mark');
type StackValue = PickleValue | typeof MARK;

class Unpickler {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #callable: (name: string) => boolean;
  readonly #stack: StackValue[] = [];
  readonly #memo: Map<number, PickleValue> = new Map();
  #at = 0;

  constructor(bytes: Uint8Array, callable: (name: string) => boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#callable = callable;
  }

  /** Start of the next `length` bytes. */
  #take(length: number): number {
    const start = this.#at;
    if (length < 0 || start + length > this.#bytes.length) fail('the data is truncated');
    this.#at += length;
    return start;
  }

  #byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  #uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  #text(length: number): string {
    const start = this.#take(length);
    return new TextDecoder().decode(this.#bytes.subarray(start, start + length));
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) fail('the data is truncated');
    const text = this.#text(end - this.#at);
    this.#at++;
    return text;
  }

  #push(value: PickleValue): void {
    this.#stack.push(value);
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK) return fail('the stack is empty');
    return value;
  }

  #top(): PickleValue {
    const value = this.#pop();
    this.#push(value);
    return value;
  }

  #popToMark(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) fail('a mark is missing');
    const values = this.#stack.splice(mark).slice(1);
    return values as PickleValue[];
  }

  #recall(index: number): PickleValue {
    const value = this.#memo.get(index);
    return value === undefined ? fail('a remembered value is missing') : value;
  }

  /** Little-endian two's complement of up to six bytes, which stays exact in a number. */
  #long(length: number): number {
    if (length > 6) fail('an integer is too large');
    const start = this.#take(length);
    let value = 0;
    for (let i = length - 1; i >= 0; i--) value = value * 256 + this.#bytes[start + i]!;
    const negative = length > 0 && this.#bytes[start + length - 1]! >= 128;
    return negative ? value - 256 ** length : value;
  }

  #call(): void {
    const args = this.#pop();
    const callee = this.#pop();
    if (!(callee instanceof PickledGlobal) || !Array.isArray(args)) fail('a call is malformed');
    const { name } = callee;
    if (name === 'collections.OrderedDict' && args.length === 0) return this.#push(new Map());
    if (!this.#callable(name)) fail(`${name} is not part of a state dictionary`);
    this.#push(new PickledCall(name, args));
  }

  #setItems(items: readonly PickleValue[]): void {
    const target = this.#top();
    if (!(target instanceof Map) || items.length % 2 !== 0) fail('a dictionary is malformed');
    for (let i = 0; i < items.length; i += 2) target.set(items[i]!, items[i + 1]!);
  }

  #append(items: readonly PickleValue[]): void {
    const target = this.#top();
    if (!Array.isArray(target)) fail('a list is malformed');
    target.push(...items);
  }

  #global(module: PickleValue, name: PickleValue): void {
    if (typeof module !== 'string' || typeof name !== 'string') fail('a name is malformed');
    this.#push(new PickledGlobal(`${module}.${name}`));
  }

  run(): PickleValue {
    for (;;) {
      const opcode = this.#byte();
      if (opcode === 0x2e) return this.#pop();
      this.#step(opcode);
    }
  }

  #step(opcode: number): void {
    switch (opcode) {
      // Protocol number, frame length: nothing to do.
      case 0x80:
        this.#take(1);
        break;
      case 0x95:
        this.#take(8);
        break;
      case 0x28:
        this.#stack.push(MARK);
        break;
      case 0x30:
        this.#pop();
        break;
      // Constants.
      case 0x4e:
        this.#push(null);
        break;
      case 0x88:
      case 0x89:
        this.#push(opcode === 0x88);
        break;
      case 0x4a:
        this.#push(this.#view.getInt32(this.#take(4), true));
        break;
      case 0x4b:
        this.#push(this.#byte());
        break;
      case 0x4d:
        this.#push(this.#view.getUint16(this.#take(2), true));
        break;
      case 0x8a:
        this.#push(this.#long(this.#byte()));
        break;
      case 0x47:
        this.#push(this.#view.getFloat64(this.#take(8), false));
        break;
      case 0x58:
      case 0x54:
        this.#push(this.#text(this.#uint32()));
        break;
      case 0x8c:
      case 0x55:
        this.#push(this.#text(this.#byte()));
        break;
      // Containers.
      case 0x5d:
      case 0x29:
        this.#push([]);
        break;
      case 0x7d:
        this.#push(new Map());
        break;
      case 0x74:
      case 0x6c:
        this.#push(this.#popToMark());
        break;
      case 0x85:
      case 0x86:
      case 0x87: {
        const values = Array.from({ length: opcode - 0x84 }, () => this.#pop());
        this.#push(values.reverse());
        break;
      }
      case 0x61:
        this.#append([this.#pop()]);
        break;
      case 0x65:
        this.#append(this.#popToMark());
        break;
      case 0x73: {
        const value = this.#pop();
        this.#setItems([this.#pop(), value]);
        break;
      }
      case 0x75:
        this.#setItems(this.#popToMark());
        break;
      // Memory.
      case 0x71:
        this.#memo.set(this.#byte(), this.#top());
        break;
      case 0x72:
        this.#memo.set(this.#uint32(), this.#top());
        break;
      case 0x94:
        this.#memo.set(this.#memo.size, this.#top());
        break;
      case 0x68:
        this.#push(this.#recall(this.#byte()));
        break;
      case 0x6a:
        this.#push(this.#recall(this.#uint32()));
        break;
      // Names, calls, outside values.
      case 0x63:
        this.#global(this.#line(), this.#line());
        break;
      case 0x93: {
        const name = this.#pop();
        this.#global(this.#pop(), name);
        break;
      }
      case 0x51:
        this.#push(new PickledReference(this.#pop()));
        break;
      case 0x52:
        this.#call();
        break;
      // Attributes of an ordered dictionary say nothing of its entries.
      case 0x62:
        this.#pop();
        break;
      default:
        fail(`opcode 0x${opcode.toString(16)} is not part of a state dictionary`);
    }
  }
}

/**
 * Reads a pickle.
 *
 * @param callable whether a call of this function may stand in the result, as a `PickledCall`.
 * @throws CheckpointError when the data is damaged or holds anything but plain values and such calls.
 */
export function readPickle(bytes: Uint8Array, callable: (name: string) => boolean): PickleValue {
  return new Unpickler(bytes, callable).run();
}
