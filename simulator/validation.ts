import type { DecodedBody } from './body.js';

/** What a field may hold; ranges, lengths and choices come from the schemas of the two documents. */
export interface FieldRule {
  kind: 'integer' | 'number' | 'boolean' | 'string' | 'url' | 'integers';
  required?: boolean;
  nullable?: boolean;
  min?: number;
  max?: number;
  minLength?: number;
  maxLength?: number;
  choices?: readonly (string | number)[];
}

export type FieldRules = Readonly<Record<string, FieldRule>>;

export interface Validated {
  values: Record<string, unknown>;
  errors: Record<string, string[]>;
}

type Checked = { value: unknown } | { error: string };

const INT32_MAX = 2_147_483_647;

const PROCESSING: FieldRules = {
  codec: { kind: 'string', choices: ['libx264', 'libx265', 'prores_ks'] },
  crf: { kind: 'integer', min: 0, max: 51 },
  container: { kind: 'string', choices: ['mov', 'mkv', 'mp4'] },
  chroma_subsampling: {
    kind: 'string',
    choices: ['yuv420p', 'yuv422p', 'yuv444p', 'yuv420p10le', 'yuv422p10le', 'yuv444p10le', ''],
  },
  ml_models: { kind: 'integers', required: true },
  output_resolution: { kind: 'integer', choices: [-1, 640, 720, 854, 1280, 1920, 2048, 2560, 3840] },
  grain: { kind: 'number', min: 0, max: 1 },
  comparison: { kind: 'boolean' },
  stabilization_smoothing: { kind: 'integer', min: 0, max: 40 },
  target_fps: { kind: 'number', min: 1, max: 240 },
  playback_speed: { kind: 'number', min: 0.1, max: 1 },
  sharpen_strength: { kind: 'number', min: 0, max: 10 },
  preview: { kind: 'boolean' },
  start_frame: { kind: 'integer', nullable: true, min: 0, max: INT32_MAX },
  end_frame: { kind: 'integer', nullable: true, min: 1, max: INT32_MAX },
};

/** `EnhanceVideo`. Its read-only fields (id, cost_usd, input_video) belong to the answer and are ignored in a request. */
export const ENHANCE_VIDEO_RULES: FieldRules = {
  video_url: { kind: 'url', required: true, minLength: 1, maxLength: 2_048 },
  ...PROCESSING,
};

/** `CreateJob`. */
export const CREATE_JOB_RULES: FieldRules = { input_video: { kind: 'integer', required: true }, ...PROCESSING };

/** `UrlImageEnhancement`; the choices are the "possible values" of its descriptions. */
export const ENHANCE_IMAGE_RULES: FieldRules = {
  output_format: { kind: 'string', required: true, maxLength: 10, choices: ['png', 'jpg', 'webp', 'jpeg'] },
  enhancement_type: {
    kind: 'string',
    required: true,
    maxLength: 50,
    choices: ['underwaterCC', 'denoise', 'sr2x', 'sr4x', 'faceEnhance'],
  },
  face_enhance: { kind: 'boolean', required: true },
  watermark: { kind: 'boolean', required: true },
  url: { kind: 'url', required: true, minLength: 5, maxLength: 1_000 },
};

/** Checks the known fields and collects all errors, worded as DRF does. JSON types are strict; form texts are converted. */
export function validate(rules: FieldRules, body: DecodedBody): Validated {
  const values: Record<string, unknown> = {};
  const errors: Record<string, string[]> = {};
  for (const [name, rule] of Object.entries(rules)) {
    const raw = body.form ? fromForm(rule, body.values[name]) : body.values[name];
    const checked = checkField(rule, raw);
    if ('error' in checked) errors[name] = [checked.error];
    else if (checked.value !== undefined) values[name] = checked.value;
  }
  return { values, errors };
}

function checkField(rule: FieldRule, raw: unknown): Checked {
  if (raw === undefined) return rule.required === true ? { error: 'This field is required.' } : { value: undefined };
  if (raw === null) return rule.nullable === true ? { value: null } : { error: 'This field may not be null.' };
  switch (rule.kind) {
    case 'integer':
    case 'number':
      return checkNumber(rule, raw);
    case 'boolean':
      return typeof raw === 'boolean' ? { value: raw } : { error: 'Must be a valid boolean.' };
    case 'integers':
      return checkIntegers(raw);
    case 'string':
    case 'url':
      return checkText(rule, raw);
  }
}

function checkNumber(rule: FieldRule, raw: unknown): Checked {
  const fits = rule.kind === 'integer' ? Number.isInteger(raw) : Number.isFinite(raw);
  if (!fits || typeof raw !== 'number') {
    return { error: rule.kind === 'integer' ? 'A valid integer is required.' : 'A valid number is required.' };
  }
  if (rule.choices !== undefined && !rule.choices.includes(raw)) return { error: `"${raw}" is not a valid choice.` };
  if (rule.min !== undefined && raw < rule.min) {
    return { error: `Ensure this value is greater than or equal to ${rule.min}.` };
  }
  if (rule.max !== undefined && raw > rule.max) {
    return { error: `Ensure this value is less than or equal to ${rule.max}.` };
  }
  return { value: raw };
}

function checkText(rule: FieldRule, raw: unknown): Checked {
  if (typeof raw !== 'string') return { error: 'Not a valid string.' };
  if (rule.maxLength !== undefined && raw.length > rule.maxLength) {
    return { error: `Ensure this field has no more than ${rule.maxLength} characters.` };
  }
  if (raw === '' && rule.choices?.includes('') !== true) return { error: 'This field may not be blank.' };
  if (rule.choices !== undefined && !rule.choices.includes(raw)) return { error: `"${raw}" is not a valid choice.` };
  if (rule.minLength !== undefined && raw.length < rule.minLength) {
    return { error: `Ensure this field has at least ${rule.minLength} characters.` };
  }
  if (rule.kind === 'url' && !isUrl(raw)) return { error: 'Enter a valid URL.' };
  return { value: raw };
}

function checkIntegers(raw: unknown): Checked {
  if (!Array.isArray(raw)) return { error: `Expected a list of items but got type "${typeof raw}".` };
  return raw.every((item) => Number.isInteger(item)) ? { value: raw } : { error: 'A valid integer is required.' };
}

function isUrl(text: string): boolean {
  if (!/^(?:https?|ftps?):\/\/[^\s/?#]/i.test(text) || /\s/.test(text)) return false;
  try {
    // Not URL.canParse, which in Node 20 refuses Latin-1 characters once it has been optimised.
    return new URL(text).host !== '';
  } catch {
    return false;
  }
}

/** A form has texts only: convert where the text fits, and leave the rest for the check to refuse. */
function fromForm(rule: FieldRule, raw: unknown): unknown {
  if (!Array.isArray(raw)) return undefined;
  if (rule.kind === 'integers') return raw.map(toNumber);
  const text: unknown = raw[raw.length - 1];
  if (rule.kind === 'string' || rule.kind === 'url') return text;
  if (text === '') return rule.nullable === true ? null : undefined;
  if (rule.kind === 'boolean') return toBoolean(text);
  return toNumber(text);
}

function toNumber(text: unknown): unknown {
  return typeof text === 'string' && /^\s*-?\d+(?:\.\d+)?\s*$/.test(text) ? Number(text) : text;
}

function toBoolean(text: unknown): unknown {
  const lower = typeof text === 'string' ? text.toLowerCase() : '';
  if (['true', 't', '1', 'yes', 'y', 'on'].includes(lower)) return true;
  if (['false', 'f', '0', 'no', 'n', 'off'].includes(lower)) return false;
  return text;
}
