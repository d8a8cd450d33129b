package membership.sidecar;

import java.io.IOException;
import java.time.Duration;

/**
 * The wait before a member starts: for the sidecar's formation gate, then for a list.
 *
 * <p>Members that start with lists that do not name each other form clusters of their own, and some never merge.
 */
public final class Formation {
    private static final Duration PAUSE = Duration.ofMillis(500);
    private static final Duration BETWEEN_REMARKS = Duration.ofSeconds(10);

    private Formation() {
    }

    /**
     * The list to start with. When the time is up: an {@link IOException}, or, where a start was asked for and there is
     * a list, that list with a loud warning. Never without a list: that would be a cluster of one.
     */
    public static MemberList await(SidecarClient client, SidecarSettings settings, Log log)
            throws IOException, InterruptedException {
        long began = System.nanoTime();
        long remarked = began - BETWEEN_REMARKS.toNanos();
        String reason;
        while (true) {
            try {
                client.checkGate();
                return client.read();
            } catch (IOException error) {
                reason = String.valueOf(error.getMessage());
            }
            long now = System.nanoTime();
            long left = settings.gateTimeout().toNanos() - (now - began);
            if (left <= 0) {
                break;
            }
            if (now - remarked >= BETWEEN_REMARKS.toNanos()) {
                remarked = now;
                log.info("Waiting for the formation gate, " + Duration.ofNanos(left).getSeconds() + " s left: "
                        + reason);
            }
            Thread.sleep(Math.max(1, Math.min(PAUSE.toMillis(), Duration.ofNanos(left).toMillis())));
        }
        String late = "The formation gate did not open within " + settings.gateTimeout().toMillis() + " ms: " + reason;
        if (settings.failOnTimeout()) {
            throw new IOException(late);
        }
        try {
            MemberList list = client.read();
            log.warn(late + ". STARTING ALL THE SAME with " + list.members()
                    + ": members that are not in each other's lists become clusters of their own");
            return list;
        } catch (IOException error) {
            throw new IOException(late + ". There is no list to start with either: " + error.getMessage());
        }
    }
}
