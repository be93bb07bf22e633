// The shapes that the parts of the monitor hand to each other.
import type {
  JournalEvent,
  Snapshot,
  SnapshotEvent as RecentEvent,
  SnapshotLease as LeaseView,
  SnapshotHolder as HolderView,
  SnapshotLock as LockView,
  SnapshotProcess as ProcessView,
  SnapshotWaiter as WaiterView,
  Verdict,
} from '../../index'

export type { HolderView, JournalEvent, LeaseView, LockView, ProcessView, RecentEvent, Snapshot, Verdict, WaiterView }

export type SpanKind = 'hold' | 'wait' | 'cooldown'
export type CellKind = SpanKind | 'idle'

/** What a layer or a thread did in the last minutes, oldest first. */
export interface Track {
  key: string
  name: string
  pid: number | null
  spans: TrackSpan[]
  lastMs: number
  /** The last one of each kind and lock, which goes on for as long as it is seen. */
  latest: Map<string, TrackSpan>
}

export interface TrackSpan {
  kind: SpanKind
  lockId: string
  lock: string | null
  fromMs: number
  toMs: number
}

export interface Contention {
  id: string
  name: string | null
  waits: number
  totalMs: number
  maxMs: number
}

/** What the counters of all locks gained in the last minute, or since the monitor began to look. */
export interface Growth {
  overMs: number
  acquisitions: number
  contended: number
  timeouts: number
  forced: number
  locks: Contention[]
}

export interface Health {
  score: number
  word: 'healthy' | 'degraded' | 'critical'
  issues: string[]
}

/** A lock with those who wait for it, and below each what it holds that others wait for. */
export interface WaitNode {
  lockId: string
  lock: string | null
  holders: { who: string; where: string | null; pid: number | null; heldMs: number | null }[]
  holderCount: number
  waiters: {
    who: string
    where: string | null
    pid: number | null
    position: number
    waitedMs: number | null
    deadlineMs: number | null
    blocks: WaitNode[]
  }[]
  waiterCount: number
  /** Waiters that are not listed. */
  more: number
  /** The holder waits, over others, for itself. */
  circle: boolean
  /** Stands above already. */
  again: boolean
}

/** An event with whose and which lock's it was. */
export type Recent = Omit<RecentEvent, 'kind'> &
  Pick<JournalEvent, 'kind'> & { pid: number | null; lock: string | null }

/** One moment, as every face shows it. */
export interface Picture {
  snapshot: Snapshot
  /** The snapshot's, without those that say nothing. */
  locks: LockView[]
  growth: Growth
  health: Health
  trees: WaitNode[]
  tracks: (Track & { title: string; busyMs: number })[]
  timeline: { fromMs: number; toMs: number }
  recent: readonly Recent[]
}

export type Style = 'bad' | 'warn' | 'good' | 'dim' | 'strong' | 'selected' | SpanKind
/** A stretch of a line, cleaned. */
export interface Span {
  text: string
  style?: Style
}
export type Line = Span[]

export type Mode = 'main' | 'why' | 'timeline' | 'events' | 'health' | 'help'
export type Sort = 'urgency' | 'wait-total' | 'wait-max' | 'contended' | 'hold' | 'name'

/** What the person at the keyboard has chosen. */
export interface ViewState {
  mode: Mode
  selectedId: string | null
  filter: string
  typing: boolean
  sort: Sort
  paused: boolean
  /** How far a long view has been scrolled. */
  scroll: number
  note: string
}

/** How a frame is drawn. `rows` of null: as many as there is to say. */
export interface Size {
  columns: number
  rows: number | null
  ascii: boolean
}
