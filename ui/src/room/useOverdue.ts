import { useEffect, useState } from 'react';

/** Whether something has been waited for longer than `ms` milliseconds. */
export function useOverdue(waiting: boolean, ms: number): boolean {
  const [overdue, setOverdue] = useState(false);
  useEffect(() => {
    if (!waiting) return;
    const timer = setTimeout(() => setOverdue(true), ms);
    return () => {
      clearTimeout(timer);
      setOverdue(false);
    };
  }, [waiting, ms]);
  return waiting && overdue;
}
