const PIXELS_4K = 3840 * 2160;

/** One AI filter; field names as in MLModelList of the OpenAPI file. */
export type MlModel = ReturnType<typeof model>;

function model(id: number, task: number, name: string, costWeight: number, upscale = 1, fpsBoost = 1) {
  return {
    id,
    name,
    task,
    description: `${name} (simulated)`,
    short_description: name,
    cost_weight: costWeight,
    upscale_factor: upscale,
    fps_boost_factor: fpsBoost,
    priority: task,
    max_resolution: PIXELS_4K,
  };
}

/** Ids 1 to 15 are one model for each task group (TaskEnum), in order; the ids above are second choices of a group. */
export const ML_MODELS: readonly MlModel[] = [
  model(1, 1, 'Super Resolution 2x', 2.5, 2),
  model(2, 2, 'Film Damage Removal', 1.8),
  model(3, 3, 'Denoise', 1.2),
  model(4, 4, 'Sharpen', 0.8),
  model(5, 5, 'VHS Prettify', 1.5),
  model(6, 6, 'Dropouts Buster', 1.5),
  model(7, 7, 'Auto Color Balance', 0.5),
  model(8, 8, 'Decompressor', 1),
  model(9, 9, 'Deinterlace', 0.6),
  model(10, 10, 'FPS Boost 2x', 1.6, 1, 2),
  model(11, 11, 'Slow Motion', 1.6),
  model(12, 12, 'Face Enhance', 2),
  model(13, 13, 'Stabilization', 0.7),
  model(14, 14, 'Audio Denoise', 0.3),
  model(15, 15, 'Low Light', 1.1),
  model(16, 1, 'Super Resolution 4x', 4, 4),
  model(17, 3, 'Strong Denoise', 1.6),
  model(18, 9, 'Deinterlace HQ', 1),
  model(19, 10, 'FPS Boost 4x', 2.4, 1, 4),
  model(20, 12, 'Face Enhance HQ', 2.8),
  // The id that the examples of this project use.
  model(34, 1, 'Super Resolution Lite', 1, 2),
];

const MODELS_BY_ID = new Map(ML_MODELS.map((entry) => [entry.id, entry]));

export function findModel(id: number): MlModel | null {
  return MODELS_BY_ID.get(id) ?? null;
}
