package membership.sidecar;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class FormationTest {
    private static final String A = "10.244.0.11:4000";
    private static final String B = "10.244.0.12:4000";

    private final List<String> told = new CopyOnWriteArrayList<>();
    private final Log log = new Log() {
        @Override
        public void info(String text) {
            told.add("info " + text);
        }

        @Override
        public void warn(String text) {
            told.add("warn " + text);
        }
    };
    private FakeSidecar sidecar;

    @BeforeEach
    void start() throws IOException {
        sidecar = new FakeSidecar(A, B);
    }

    @AfterEach
    void stop() {
        sidecar.close();
    }

    @Test
    void startsAtOnceBehindAnOpenGate() throws Exception {
        assertEquals(Arrays.asList(A, B), await("10s", "fail").members());
        assertTrue(told.isEmpty(), told.toString());
    }

    @Test
    void waitsForTheGateAndThenReadsTheList() throws Exception {
        sidecar.openGate(false);
        sidecar.show(A);
        CompletableFuture<MemberList> list = begin("20s", "fail");
        assertThrows(TimeoutException.class, () -> list.get(700, TimeUnit.MILLISECONDS));
        assertEquals(0, sidecar.questions(), "a list from before the gate opened is of no use");
        sidecar.show(A, B);
        sidecar.openGate(true);
        assertEquals(Arrays.asList(A, B), list.get(5, TimeUnit.SECONDS).members());
        assertEquals(1, told.size());
        assertTrue(told.get(0).contains("1 of 2 expected addresses"), told.get(0));
    }

    @Test
    void goesOnUntilThereIsAList() throws Exception {
        sidecar.fail(new FakeSidecar.Answer(503, "application/problem+json", "{}"));
        CompletableFuture<MemberList> list = begin("20s", "start");
        assertThrows(TimeoutException.class, () -> list.get(700, TimeUnit.MILLISECONDS));
        sidecar.show(A);
        assertEquals(1, list.get(5, TimeUnit.SECONDS).members().size());
    }

    @Test
    void failsWhenTheTimeIsUp() {
        sidecar.openGate(false);
        IOException error = assertThrows(IOException.class, () -> await("600ms", "fail"));
        assertTrue(error.getMessage().contains("did not open within 600 ms"), error.getMessage());
        assertTrue(error.getMessage().contains("1 of 2 expected addresses"), error.getMessage());
    }

    @Test
    void startsLoudlyWhenTheTimeIsUp() throws Exception {
        sidecar.openGate(false);
        assertEquals(Arrays.asList(A, B), await("600ms", "start").members());
        assertTrue(told.get(told.size() - 1).startsWith("warn"), told.toString());
        assertTrue(told.get(told.size() - 1).contains("STARTING ALL THE SAME"), told.toString());
    }

    @Test
    void neverStartsWithoutAList() {
        sidecar.openGate(false);
        sidecar.fail(new FakeSidecar.Answer(200, "text/plain", ""));
        IOException error = assertThrows(IOException.class, () -> await("600ms", "start"));
        assertTrue(error.getMessage().contains("no list to start with"), error.getMessage());
    }

    @Test
    void canBeInterrupted() throws Exception {
        sidecar.openGate(false);
        CompletableFuture<String> end = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try {
                end.complete(String.valueOf(await("60s", "fail")));
            } catch (Exception error) {
                end.complete(error.getClass().getSimpleName());
            }
        });
        thread.start();
        assertFalse(end.isDone());
        thread.interrupt();
        assertEquals("InterruptedException", end.get(5, TimeUnit.SECONDS));
    }

    private MemberList await(String time, String onTime) throws IOException, InterruptedException {
        Map<String, String> given = new HashMap<>();
        given.put("myUrl", sidecar.url().toString());
        given.put("myTime", time);
        given.put("myOnTime", onTime);
        SidecarSettings settings =
                SidecarSettings.parse(given, new SidecarSettings.Keys("my", "myUrl", "myTime", "myOnTime"));
        return Formation.await(new SidecarClient(settings.url()), settings, log);
    }

    private CompletableFuture<MemberList> begin(String time, String onTime) {
        return CompletableFuture.supplyAsync(() -> {
            try {
                return await(time, onTime);
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        });
    }
}
