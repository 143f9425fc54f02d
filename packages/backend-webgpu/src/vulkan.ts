/**
 * What can be told of Vulkan on Linux before it is loaded: Dawn, the loader and drivers print to the console what they
 * miss, and a program that merely looks for the best device must stay silent.
 */

/** What is asked of the system. */
export interface VulkanSystem {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Names in a folder; none where it cannot be read. */
  readonly list: (folder: string) => readonly string[];
  readonly exists: (path: string) => boolean;
  /** Bytes of a file as text; undefined where it cannot be read. */
  readonly read: (path: string) => string | undefined;
}

const LOADER = 'libvulkan.so.1';
/** Where distributions keep libraries, below which the folder of the architecture may come. */
const LIBRARY_FOLDERS = ['/lib', '/lib64', '/usr/lib', '/usr/lib64', '/usr/local/lib'];
const LINKER_CACHE = '/etc/ld.so.cache';

// Where the loader looks for drivers: https://github.com/KhronosGroup/Vulkan-Loader, docs/LoaderDriverInterface.md.
const MANIFEST_VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'];
const EXTRA_MANIFESTS = 'VK_ADD_DRIVER_FILES';
const SYSTEM_FOLDERS = ['/etc/xdg', '/etc', '/usr/local/share', '/usr/share'];
const SEARCHED_VARIABLES = ['XDG_CONFIG_HOME', 'XDG_CONFIG_DIRS', 'XDG_DATA_HOME', 'XDG_DATA_DIRS'];

function paths(text: string | undefined): string[] {
  return (text ?? '').split(':').filter((path) => path !== '');
}

function hasLoader({ env, list, exists, read }: VulkanSystem): boolean {
  const folders = [...paths(env['LD_LIBRARY_PATH']), ...LIBRARY_FOLDERS];
  if (folders.some((folder) => exists(`${folder}/${LOADER}`))) return true;
  const nested = (folder: string): boolean =>
    list(folder).some((name) => exists(`${folder}/${name}/${LOADER}`));
  if (LIBRARY_FOLDERS.some(nested)) return true;
  // Where the linker keeps no list, it may know other places.
  return read(LINKER_CACHE)?.includes(LOADER) ?? true;
}

function hasDriver({ env, list, exists }: VulkanSystem): boolean {
  const manifests = (path: string): boolean =>
    path.endsWith('.json') ? exists(path) : list(path).some((name) => name.endsWith('.json'));
  if (paths(env[EXTRA_MANIFESTS]).some(manifests)) return true;
  const named = MANIFEST_VARIABLES.map((name) => env[name]).find((value) => value !== undefined);
  if (named !== undefined) return paths(named).some(manifests);
  const home = env['HOME'];
  return [
    ...SYSTEM_FOLDERS,
    ...SEARCHED_VARIABLES.flatMap((name) => paths(env[name])),
    ...(home === undefined ? [] : [`${home}/.config`, `${home}/.local/share`]),
  ].some((folder) => manifests(`${folder}/vulkan/icd.d`));
}

/** Why Vulkan cannot work here, as far as can be told without loading it; undefined when it may. */
export function missingVulkan(system: VulkanSystem): string | undefined {
  if (!hasLoader(system)) return `the Vulkan loader ${LOADER} is not installed`;
  if (!hasDriver(system)) return 'no Vulkan driver is installed';
  return undefined;
}

/** The parts of Node's process and files that are needed here; written out, since browsers have neither. */
interface NodeProcess {
  readonly platform: string;
  readonly env: Record<string, string | undefined>;
  getBuiltinModule(name: 'node:fs'): {
    existsSync(path: string): boolean;
    readdirSync(path: string): string[];
    readFileSync(path: string, encoding: 'latin1'): string;
  };
}

/** The process; undefined anywhere but on Linux in Node. */
function linuxProcess(): NodeProcess | undefined {
  const { process } = globalThis as { process?: NodeProcess };
  return process?.platform === 'linux' ? process : undefined;
}

/** The result; undefined where it throws. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The system of this process; undefined anywhere but on Linux in Node. */
export function vulkanSystem(): VulkanSystem | undefined {
  const process = linuxProcess();
  if (process === undefined) return undefined;
  const fs = process.getBuiltinModule('node:fs');
  return {
    env: process.env,
    exists: (path) => fs.existsSync(path),
    list: (folder) => attempt(() => fs.readdirSync(folder)) ?? [],
    read: (path) => attempt(() => fs.readFileSync(path, 'latin1')),
  };
}

/**
 * Runs `body`, in which drivers are loaded, with `XDG_RUNTIME_DIR` set: without it they complain of their search for a
 * display.
 */
export async function withRuntimeFolder<T>(body: () => Promise<T>): Promise<T> {
  const env = linuxProcess()?.env;
  if (env === undefined || env['XDG_RUNTIME_DIR'] !== undefined) return body();
  env['XDG_RUNTIME_DIR'] = '/tmp';
  try {
    return await body();
  } finally {
    delete env['XDG_RUNTIME_DIR'];
  }
}
