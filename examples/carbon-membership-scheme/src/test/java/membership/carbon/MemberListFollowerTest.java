package membership.carbon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import membership.sidecar.FakeSidecar;
import membership.sidecar.Log;
import membership.sidecar.SidecarClient;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class MemberListFollowerTest {
    private static final String A = "10.244.0.11:4000";
    private static final String B = "10.244.0.12:4000";
    private static final String C = "10.244.0.13:4000";

    private final BlockingQueue<List<String>> seen = new LinkedBlockingQueue<>();
    private final List<String> told = new CopyOnWriteArrayList<>();
    private final Log log = new Log() {
        @Override
        public void info(String text) {
            told.add(text);
        }

        @Override
        public void warn(String text) {
            told.add(text);
        }
    };
    private volatile boolean wanted = true;
    private FakeSidecar sidecar;
    private Thread thread;

    @BeforeEach
    void start() throws IOException {
        sidecar = new FakeSidecar(A, B);
    }

    @AfterEach
    void stop() throws InterruptedException {
        wanted = false;
        sidecar.close();
        if (thread != null) {
            thread.interrupt();
            thread.join(10_000);
            assertFalse(thread.isAlive());
        }
    }

    @Test
    void handsOnWhatIsNewAndWhatHasGone() throws Exception {
        follow(30);
        sidecar.show(A, B, C);
        assertEquals(Arrays.asList(A, B, C), seen.poll(2, TimeUnit.SECONDS));
        sidecar.show(A);
        assertEquals(Arrays.asList(A), seen.poll(2, TimeUnit.SECONDS));
    }

    @Test
    void aQuietSidecarIsAskedOncePerWait() throws Exception {
        follow(2);
        assertNull(seen.poll(5, TimeUnit.SECONDS));
        assertTrue(sidecar.questions() <= 4, sidecar.asked.toString());
    }

    @Test
    void aServerThatIgnoresTheWaitIsAskedOncePerSecond() throws Exception {
        sidecar.ignoreWait();
        follow(30);
        assertNull(seen.poll(3, TimeUnit.SECONDS));
        assertTrue(sidecar.questions() >= 3 && sidecar.questions() <= 5, sidecar.asked.toString());
    }

    @Test
    void aServerThatAlwaysHasNewsIsAskedTenTimesPerSecond() throws Exception {
        sidecar.hurry();
        follow(30);
        assertNull(seen.poll(2, TimeUnit.SECONDS), "the members are the same each time");
        assertTrue(sidecar.questions() <= 22, sidecar.asked.toString());
    }

    @Test
    void theLastGoodListStaysOnEveryError() throws Exception {
        follow(30);
        for (FakeSidecar.Answer fault : Arrays.asList(
                new FakeSidecar.Answer(503, "application/problem+json", "{}"),
                new FakeSidecar.Answer(200, "text/plain", ""),
                new FakeSidecar.Answer(200, "text/html", "<html>"),
                new FakeSidecar.Answer(200, "text/plain", A + "\nrubbish\n"))) {
            sidecar.fail(fault);
            assertNull(seen.poll(1200, TimeUnit.MILLISECONDS));
        }
        assertTrue(sidecar.questions() <= 9, sidecar.asked.toString());
        assertEquals(4, told.stream().filter(text -> text.contains("stays as it is")).count(), told.toString());
        sidecar.show(A, B, C);
        assertEquals(Arrays.asList(A, B, C), seen.poll(2, TimeUnit.SECONDS));
        assertTrue(told.get(told.size() - 1).contains("answers again"), told.toString());
    }

    @Test
    void anErrorThatLastsIsToldOnce() throws Exception {
        follow(30);
        sidecar.fail(new FakeSidecar.Answer(500, "text/plain", "x"));
        assertNull(seen.poll(3, TimeUnit.SECONDS));
        assertEquals(1, told.size(), told.toString());
    }

    @Test
    void aNewProcessWithTheSameMembersChangesNothing() throws Exception {
        sidecar.show(A, B);
        follow(30);
        sidecar.restart("e2", A, B);
        assertNull(seen.poll(2, TimeUnit.SECONDS));
        assertTrue(sidecar.asked.get(sidecar.asked.size() - 1).endsWith("index=1&wait=30s&epoch=e2"),
                sidecar.asked.toString());
        sidecar.restart("e3", B);
        assertEquals(Arrays.asList(B), seen.poll(2, TimeUnit.SECONDS));
    }

    @Test
    void aTargetThatThrowsIsAskedAgain() throws Exception {
        thread = new Thread(new MemberListFollower(new SidecarClient(sidecar.url()),
                new SidecarClient(sidecar.url()).read(), Duration.ofSeconds(30), () -> wanted, list -> {
                    if (!told.isEmpty()) {
                        seen.add(list);
                    } else {
                        throw new IllegalStateException("not yet");
                    }
                }, log));
        thread.start();
        sidecar.show(C);
        assertEquals(Arrays.asList(C), seen.poll(4, TimeUnit.SECONDS));
    }

    @Test
    void endsWhenNobodyWantsTheListAnyMore() throws Exception {
        follow(1);
        wanted = false;
        thread.join(4000);
        assertFalse(thread.isAlive());
    }

    @Test
    void endsWhenItIsInterrupted() throws Exception {
        sidecar.ignoreWait();
        follow(1);
        thread.interrupt();
        thread.join(4000);
        assertFalse(thread.isAlive());
    }

    private void follow(int seconds) throws IOException {
        SidecarClient client = new SidecarClient(sidecar.url());
        thread = new Thread(new MemberListFollower(client, client.read(), Duration.ofSeconds(seconds), () -> wanted,
                seen::add, log));
        thread.start();
    }
}
