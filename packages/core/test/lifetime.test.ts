import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  add,
  createCpuDevice,
  InputError,
  LifetimeError,
  mul,
  sortByKey,
  type Device,
  type Resource,
  type Tensor,
} from '@pergola/core';

let device: Device;
let start: number;

beforeEach(async () => {
  device = await createCpuDevice({ threads: 1 });
  start = device.memory().liveBytes;
});

afterEach(() => device.dispose());

function live(): number {
  return device.memory().liveBytes - start;
}

function make(): Tensor {
  return device.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
}

describe('scopes', () => {
  test('a scope frees what was made in it, once', () => {
    const scope = device.scope();
    const tensor = make();
    expect(live()).toBeGreaterThan(0);
    scope.dispose();
    scope.dispose();
    expect(scope.open).toBe(false);
    expect(tensor.disposed).toBe(true);
    expect(live()).toBe(0);
  });

  test('using closes a scope, also when its block throws', () => {
    expect(() => {
      using scope = device.scope();
      expect(scope.open).toBe(true);
      make();
      throw new Error('stop');
    }).toThrow('stop');
    expect(live()).toBe(0);
  });

  test('inner scopes hand kept tensors to the outer one, which frees them', () => {
    const outer = device.scope();
    const inner = device.scope();
    const kept = inner.keep(make());
    const lost = make();
    inner.dispose();
    expect([kept.disposed, lost.disposed]).toEqual([false, true]);
    outer.dispose();
    expect(kept.disposed).toBe(true);
    expect(live()).toBe(0);
  });

  test('the outermost scope hands kept tensors to nobody', () => {
    const scope = device.scope();
    const kept = scope.keep(make());
    scope.dispose();
    expect(kept.disposed).toBe(false);
    kept.dispose();
    expect(live()).toBe(0);
  });

  test('keeping what a scope does not own changes nothing', () => {
    const before = make();
    const scope = device.scope();
    scope.keep([before, 7, null, undefined, 'text']);
    scope.dispose();
    expect(before.disposed).toBe(false);
    scope.keep(before);
    before.dispose();
    expect(live()).toBe(0);
  });

  test('scopes closed out of order still free their own', () => {
    const outer = device.scope();
    const first = make();
    const inner = device.scope();
    const second = make();
    outer.dispose();
    expect([first.disposed, second.disposed]).toEqual([true, false]);
    inner.dispose();
    expect(live()).toBe(0);
  });

  test('a tensor disposed early is not freed twice by its scope', () => {
    const scope = device.scope();
    make().dispose();
    const other = make();
    scope.dispose();
    expect(other.disposed).toBe(true);
    expect(device.memory().storages).toBe(0);
  });

  test('tensor.keep takes a tensor out of every scope', () => {
    const outer = device.scope();
    const inner = device.scope();
    const tensor = make().keep();
    inner.dispose();
    outer.dispose();
    expect(tensor.disposed).toBe(false);
    tensor.dispose();
    expect(live()).toBe(0);
  });

  test('resources of any kind follow their scope', () => {
    const disposed: string[] = [];
    const resource = (name: string): Resource => ({ dispose: () => void disposed.push(name) });
    const scope = device.scope();
    const [a, b, c] = ['a', 'b', 'c'].map(resource) as [Resource, Resource, Resource];
    for (const item of [a, b, c]) device.track(item);
    device.detach(b);
    scope.keep({ ownedResources: () => [c] });
    scope.dispose();
    expect(disposed).toEqual(['a']);
    device.track(a);
    device.detach(a);
  });
});

test('a resource tracked again belongs to the innermost scope alone', () => {
  const disposed: string[] = [];
  const resource: Resource = { dispose: () => void disposed.push('once') };
  const outer = device.scope();
  device.track(resource);
  const inner = device.scope();
  device.track(resource);
  inner.dispose();
  outer.dispose();
  expect(disposed).toEqual(['once']);
});

describe('run', () => {
  test('frees temporaries and returns results of every shape', () => {
    const result = device.run(() => {
      const x = make();
      make();
      return { list: [x, mul(x, 2)], map: new Map([['sum', add(x, 1)]]), count: 3 };
    });
    expect(device.memory().storages).toBe(3);
    for (const tensor of [...result.list, result.map.get('sum')!]) tensor.dispose();
    expect(live()).toBe(0);
  });

  test('nested runs free level by level', () => {
    const outer = device.run(() => {
      const inner = device.run(() => {
        make();
        return make();
      });
      expect(device.memory().storages).toBe(1);
      return mul(inner, 2);
    });
    expect(device.memory().storages).toBe(1);
    outer.dispose();
    expect(live()).toBe(0);
  });

  test('an exception frees everything and passes through', () => {
    expect(() =>
      device.run(() => {
        make();
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(live()).toBe(0);
    const later = make();
    expect(later.disposed).toBe(false);
    later.dispose();
  });

  test('a result that nests too deep closes the scope all the same', () => {
    let nested: unknown = [];
    for (let i = 0; i < 12; i++) nested = [nested];
    expect(() =>
      device.run(() => {
        make();
        return nested;
      }),
    ).toThrow(InputError);
    expect(live()).toBe(0);
    const scope = device.scope();
    make();
    scope.dispose();
    expect(live()).toBe(0);
  });

  test('an asynchronous body keeps its scope open until it settles', async () => {
    const pending = device.run(async () => {
      const x = make();
      const values = await x.floats();
      const y = device.tensor(values, [2, 3]);
      return mul(x, y);
    });
    expect(device.memory().storages).toBe(1);
    const result = await pending;
    expect(device.memory().storages).toBe(1);
    expect(await result.floats()).toEqual(Float32Array.of(1, 4, 9, 16, 25, 36));
    result.dispose();
    expect(live()).toBe(0);
  });

  test('a rejected body frees everything', async () => {
    const pending = device.run(async () => {
      const x = make();
      await x.data();
      make();
      throw new Error('stop');
    });
    await expect(pending).rejects.toThrow('stop');
    expect(live()).toBe(0);
  });

  test('asynchronous runs nest', async () => {
    const total = await device.run(async () => {
      const x = make();
      const doubled = await device.run(async () => {
        const y = mul(x, 2);
        await y.data();
        return add(y, 0);
      });
      expect(device.memory().storages).toBe(2);
      return (await doubled.floats()).reduce((sum, value) => sum + value, 0);
    });
    expect(total).toBe(42);
    expect(live()).toBe(0);
  });
});

describe('views and disposal', () => {
  test('storage lives as long as its last view', async () => {
    const base = make();
    const bytes = live();
    const row = base.select(0, 1);
    const column = row.slice(0, 1, 3);
    expect(live()).toBe(bytes);
    base.dispose();
    row.dispose();
    expect(live()).toBe(bytes);
    expect(await column.floats()).toEqual(Float32Array.of(5, 6));
    column.dispose();
    expect(live()).toBe(0);
  });

  test('a view returned from a run keeps the storage of a freed base', async () => {
    const view = device.run(() => make().transpose());
    expect(await view.floats()).toEqual(Float32Array.of(1, 4, 2, 5, 3, 6));
    expect(live()).toBeGreaterThan(0);
    view.dispose();
    expect(live()).toBe(0);
  });

  test('reshaping a strided tensor leaves one copy and no temporaries', () => {
    const base = make();
    const flat = base.transpose().reshape(6);
    base.dispose();
    expect(device.memory().storages).toBe(2);
    flat.dispose();
    expect(device.memory().storages).toBe(1);
  });

  test('dispose is safe to call twice and frees once', () => {
    const tensor = make();
    const other = make();
    tensor.dispose();
    tensor.dispose();
    tensor[Symbol.dispose]();
    expect(device.memory().storages).toBe(1);
    other.dispose();
    expect(live()).toBe(0);
  });

  test('every use of a disposed tensor is refused', async () => {
    const tensor = make();
    const other = make();
    tensor.dispose();
    const message = 'tensor f32[2, 3]: was disposed and can no longer be used.';
    const uses = [
      () => add(tensor, other),
      () => add(other, tensor),
      () => tensor.reshape(6),
      () => tensor.transpose(),
      () => tensor.slice(0, 1),
      () => tensor.alias(),
      () => tensor.toContiguous(),
      () => sortByKey(tensor),
    ];
    for (const use of uses) {
      expect(use).toThrow(LifetimeError);
      expect(use).toThrow(message);
    }
    await expect(tensor.data()).rejects.toThrow(message);
    await expect(tensor.values()).rejects.toThrow(LifetimeError);
    await expect(tensor.floats()).rejects.toThrow(LifetimeError);
    await expect(tensor.to(device)).rejects.toThrow(LifetimeError);
    other.dispose();
    expect(live()).toBe(0);
  });

  test('a tensor disposed while it is being read gives its old values', async () => {
    const tensor = make();
    const reading = tensor.floats();
    tensor.dispose();
    expect(await reading).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
    expect(live()).toBe(0);
  });
});

describe('devices', () => {
  test('inputs of another device are refused, and to() brings them over', async () => {
    using other = await createCpuDevice({ threads: 1 });
    const here = make();
    const there = other.tensor([1, 1, 1, 1, 1, 1], [2, 3]);
    expect(() => add(here, there)).toThrow(LifetimeError);
    expect(() => add(here, there)).toThrow(
      'add: inputs must be on one device, got cpu and cpu; move one with tensor.to(device).',
    );
    const moved = await there.to(device);
    const sum = add(here, moved);
    expect(await sum.floats()).toEqual(Float32Array.of(2, 3, 4, 5, 6, 7));
    const again = await here.to(device);
    expect(again).not.toBe(here);
    for (const tensor of [here, moved, sum, again]) tensor.dispose();
    expect(live()).toBe(0);
  });

  test('after dispose everything is refused, and tensors may still be disposed', async () => {
    const tensor = make();
    const scope = device.scope();
    const inside = make();
    device.dispose();
    device.dispose();
    expect(device.disposed).toBe(true);
    const message = 'device cpu: was disposed.';
    for (const use of [() => make(), () => add(tensor, 1), () => device.scope()]) {
      expect(use).toThrow(LifetimeError);
      expect(use).toThrow(message);
    }
    expect(() => device.run(() => 1)).toThrow(message);
    await expect(tensor.data()).rejects.toThrow(message);
    await expect(device.sync()).rejects.toThrow(message);
    scope.dispose();
    tensor.dispose();
    expect(inside.disposed).toBe(true);
  });

  test('peak memory counts what lived at once', () => {
    const first = make();
    const bytes = live();
    make().dispose();
    first.dispose();
    expect(device.memory().peakBytes).toBe(2 * bytes);
    device.resetPeak();
    expect(device.memory().peakBytes).toBe(device.memory().liveBytes);
  });
});
