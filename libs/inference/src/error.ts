/** The artifact is not what its card or its signature says, or the input is not what the artifact takes. */
export class ModelError extends Error {
  override readonly name = 'ModelError'
}
