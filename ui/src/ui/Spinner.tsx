/** Something is under way. Decoration only: the text beside it says what. */
export function Spinner() {
  return <span className="spinner" aria-hidden="true" />;
}
