package membership.carbon;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import membership.sidecar.Log;
import membership.sidecar.MemberList;
import membership.sidecar.SidecarClient;

/**
 * Hands on every new member list, as soon as the sidecar has it, until it is interrupted or nobody wants it any more.
 *
 * <p>Whatever goes wrong, the last good list stays.
 */
final class MemberListFollower implements Runnable {
    /** Between two polls that brought nothing new, though the server may ignore "wait" or refuse at once. */
    static final Duration PACE = Duration.ofSeconds(1);
    /** Between any two polls, though every answer may be a new list. */
    private static final Duration LEAST_PAUSE = Duration.ofMillis(100);

    private final SidecarClient client;
    private final Duration wait;
    private final BooleanSupplier wanted;
    private final Consumer<List<String>> target;
    private final Log log;
    private MemberList last;
    private String complaint;

    /** {@code last} was handed on already; {@code wait} is how long the sidecar may hold a question. */
    MemberListFollower(SidecarClient client, MemberList last, Duration wait, BooleanSupplier wanted,
            Consumer<List<String>> target, Log log) {
        this.client = client;
        this.last = last;
        this.wait = wait;
        this.wanted = wanted;
        this.target = target;
        this.log = log;
    }

    @Override
    public void run() {
        try {
            while (!Thread.currentThread().isInterrupted() && wanted.getAsBoolean()) {
                long began = System.nanoTime();
                Duration least = poll() ? LEAST_PAUSE : PACE;
                long left = least.toMillis() - Duration.ofNanos(System.nanoTime() - began).toMillis();
                if (left > 0) {
                    Thread.sleep(left);
                }
            }
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        } finally {
            client.close();
        }
        log.info("The member list is no longer followed");
    }

    /** Whether there was a new list. */
    private boolean poll() {
        try {
            MemberList next = client.readAfter(last, wait);
            boolean news = !next.isSameAs(last);
            if (news && !next.members().equals(last.members())) {
                target.accept(next.members());
            }
            last = next;
            if (complaint != null) {
                log.info("The sidecar answers again");
                complaint = null;
            }
            return news;
        } catch (IOException | RuntimeException error) {
            String text = error instanceof IOException ? error.getMessage() : error.toString();
            if (!String.valueOf(text).equals(complaint)) {
                complaint = String.valueOf(text);
                log.warn("The list stays as it is, " + last.members() + ": " + complaint);
            }
            return false;
        }
    }
}
