/** The tokenizer on a vocabulary of a few words in the released file's form. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLIP_TOKENS, ClipTokenizer } from '@pergola/trellis';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** The 256 characters that stand for bytes: printable ones for themselves, the rest from U+0100 on. */
function byteAlphabet(): string[] {
  const printable = (b: number): boolean =>
    (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
}

const MERGES = ['c a', 'ca t</w>', 'a t</w>', 'p h'];

/** A file with the normaliser, splitter and byte alphabet of the released one. */
function tokenizerFile(): {
  model: { vocab: Record<string, number>; [key: string]: unknown };
  [key: string]: unknown;
} {
  const vocab: Record<string, number> = {};
  for (const [id, char] of byteAlphabet().entries()) {
    vocab[char] = id;
    vocab[`${char}</w>`] = 256 + id;
  }
  for (const merge of MERGES) vocab[merge.replace(' ', '')] = Object.keys(vocab).length;
  const [start, end] = [Object.keys(vocab).length, Object.keys(vocab).length + 1];
  vocab['<|startoftext|>'] = start;
  vocab['<|endoftext|>'] = end;
  const special = { single_word: false, lstrip: false, rstrip: false, special: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      { ...special, id: start, content: '<|startoftext|>', normalized: true },
      { ...special, id: end, content: '<|endoftext|>', normalized: false },
    ],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" },
          behavior: 'Removed',
          invert: true,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
      ],
    },
    post_processor: {
      type: 'RobertaProcessing',
      sep: ['<|endoftext|>', end],
      cls: ['<|startoftext|>', start],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<|endoftext|>',
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      vocab,
      merges: MERGES,
    },
  };
}

let folder: string;
let tokenizer: ClipTokenizer;
const { vocab } = tokenizerFile().model;
const start = vocab['<|startoftext|>']!;
const end = vocab['<|endoftext|>']!;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pergola-'));
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizerFile()));
  tokenizer = await ClipTokenizer.open(folder);
});
afterAll(() => rm(folder, { recursive: true }));

function ids(...tokens: string[]): number[] {
  return tokens.map((token) => vocab[token]!);
}

test('a text is lowered, cut into pieces, merged, framed and padded with the end token', () => {
  const out = tokenizer.encode('A  CAT,\tphat 12!');
  const content = ids('a</w>', 'cat</w>', ',</w>', 'ph', 'at</w>', '1</w>', '2</w>', '!</w>');
  expect(out).toHaveLength(CLIP_TOKENS);
  expect(out.slice(0, 10)).toEqual([start, ...content, end]);
  expect(new Set(out.slice(9))).toEqual(new Set([end]));
});

test('the empty text is start and end tokens', () => {
  expect(tokenizer.encode('')).toEqual([start, ...new Array<number>(CLIP_TOKENS - 1).fill(end)]);
});

test('a long text keeps its first tokens and its end', () => {
  const out = tokenizer.encode('cat '.repeat(100));
  expect(out).toHaveLength(CLIP_TOKENS);
  expect(out.at(-1)).toBe(end);
  expect(out.slice(1, -1)).toEqual(new Array<number>(75).fill(vocab['cat</w>']!));
});

test('bytes outside ASCII become their stand-ins', () => {
  const [first, second] = [...new TextEncoder().encode('é')];
  const alphabet = byteAlphabet();
  expect(tokenizer.encode('é').slice(1, 3)).toEqual(
    ids(alphabet[first!]!, `${alphabet[second!]!}</w>`),
  );
});

test('missing and foreign files meet one sentence', async () => {
  await expect(ClipTokenizer.open(join(folder, 'none'))).rejects.toThrow(
    `${join(folder, 'none', 'tokenizer.json')}: the file does not exist.`,
  );
  const file = tokenizerFile();
  delete file.model.vocab['<|endoftext|>'];
  file['added_tokens'] = [];
  expect(() => new ClipTokenizer({ tokenizer: file, location: 'tokenizer.json' })).toThrow(
    'tokenizer.json: the vocabulary has no <|endoftext|>.',
  );
  expect(() => new ClipTokenizer({ tokenizer: { model: 3 }, location: 'x.json' })).toThrow(
    'x.json: the file does not describe a tokenizer.',
  );
});
