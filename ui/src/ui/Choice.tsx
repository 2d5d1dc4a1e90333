/** Something that is so or not, with a word on when it should be. */
export function Choice(props: {
  label: string;
  hint?: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}) {
  return (
    <div className="choice">
      <label>
        <input
          type="checkbox"
          checked={props.checked}
          onChange={(event) => props.onChange(event.target.checked)}
        />
        <span>
          {props.label}
          {props.hint !== undefined && <span className="hint"> {props.hint}</span>}
        </span>
      </label>
    </div>
  );
}
