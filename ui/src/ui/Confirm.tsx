import { Button } from './Button.tsx';
import { Dialog } from './Dialog.tsx';
import { ErrorNote } from './Notes.tsx';

type Props = {
  open: boolean;
  title: string;
  text: string;
  /** What the button that does it says. */
  action: string;
  busy: boolean;
  error: string | null;
  onConfirm: () => void;
  onClose: () => void;
};

/** Asks before something that cannot be taken back. */
export function Confirm(props: Props) {
  return (
    <Dialog open={props.open} title={props.title} onClose={props.onClose}>
      <p>{props.text}</p>
      {props.error !== null && <ErrorNote>{props.error}</ErrorNote>}
      <div className="row row-end">
        <Button onClick={props.onClose}>Cancel</Button>
        <Button kind="danger" busy={props.busy} onClick={props.onConfirm}>
          {props.action}
        </Button>
      </div>
    </Dialog>
  );
}
