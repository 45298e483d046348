/** Inbound: the reception hears of visitors. */
export interface VisitorWatcher {
  visitorArrived(visitorId: string, name: string): Promise<void>;
}
