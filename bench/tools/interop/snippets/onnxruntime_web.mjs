import ort from "onnxruntime-web";

export async function load(path) {
  const session = await ort.InferenceSession.create(path);
  return async (x) => (await session.run({ [session.inputNames[0]]: x }))[session.outputNames[0]];
}
export const Tensor = ort.Tensor;
