package membership.sidecar;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SidecarClientTest {
    private static final String A = "10.244.0.11:4000";
    private static final String B = "10.244.0.12:4000";

    private FakeSidecar sidecar;
    private SidecarClient client;

    @BeforeEach
    void start() throws IOException {
        sidecar = new FakeSidecar(A, B);
        client = new SidecarClient(sidecar.url());
    }

    @AfterEach
    void stop() {
        client.close();
        sidecar.close();
    }

    @Test
    void readsTheListAndWhichItIs() throws IOException {
        MemberList list = client.read();
        assertEquals(Arrays.asList(A, B), list.members());
        assertEquals(1, list.generation());
        assertEquals("e1", list.epoch());
        assertEquals(Collections.singletonList("/members?format=lines"), sidecar.asked);
    }

    @Test
    void namesAnAddressOnce() throws IOException {
        sidecar.show(A, B, A);
        assertEquals(Arrays.asList(A, B), client.read().members());
    }

    @Test
    void takesIpv6InBrackets() throws IOException {
        sidecar.show("[fd00::1]:4000");
        assertEquals(Collections.singletonList("[fd00::1]:4000"), client.read().members());
    }

    @Test
    void waitsForAnotherList() throws Exception {
        MemberList first = client.read();
        CompletableFuture<MemberList> next = ask(first, 10);
        assertFalse(isDoneWithin(next, 300));
        sidecar.show(A);
        assertEquals(Collections.singletonList(A), next.get(5, TimeUnit.SECONDS).members());
        assertEquals("/members?format=lines&index=1&wait=10s&epoch=e1", sidecar.asked.get(1));
    }

    @Test
    void getsTheSameListWhenTheWaitEnds() throws IOException {
        MemberList first = client.read();
        assertTrue(client.readAfter(first, Duration.ofSeconds(1)).isSameAs(first));
    }

    @Test
    void aNewProcessIsAnotherListWhateverItsGeneration() throws Exception {
        sidecar.show(A, B);
        sidecar.show(A);
        MemberList before = client.read();
        assertEquals(3, before.generation());
        sidecar.restart("e2", A, B);
        MemberList after = client.readAfter(before, Duration.ofSeconds(10));
        assertEquals(1, after.generation());
        assertFalse(after.isSameAs(before));
        sidecar.restart("e3", A, B);
        assertFalse(client.readAfter(after, Duration.ofSeconds(10)).isSameAs(after));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\n", A, A + "\n\n", A + "\n" + B, A + "\nis-0:4000\n", "10.244.0.256:4000\n",
        "10.244.0.11\n", "10.244.0.11:\n", "10.244.0.11:0\n", "10.244.0.11:65536\n", "10.244.0.11:4000 \n",
        "10.244.0.11:4000\r\n", "10.244.0.11:40x0\n", "10.244.0:4000\n", "10.244.0.11:4000,10.244.0.12:4000\n",
        "fd00::1:4000\n", "[]:4000\n", "<html><body>10.244.0.11:4000</body></html>\n", A + "\n<html>\n",
        "-10.244.0.11:4000\n", "10.244.0.11:+4000\n", "10.244.0.11:4000\u0000\n"})
    void refusesAWholeAnswerForOneBadLine(String body) {
        sidecar.fail(new FakeSidecar.Answer(200, "text/plain", body));
        assertThrows(IOException.class, client::read);
    }

    @ParameterizedTest
    @ValueSource(ints = {201, 204, 302, 400, 404, 500, 503})
    void refusesEveryOtherStatusAndFollowsNoRedirect(int status) {
        String body = status == 204 ? "" : A + "\n";
        sidecar.fail(new FakeSidecar.Answer(status, "text/plain", body));
        IOException error = assertThrows(IOException.class, client::read);
        assertTrue(error.getMessage().contains(String.valueOf(status)), error.getMessage());
        assertEquals(1, sidecar.questions());
    }

    @ParameterizedTest
    @ValueSource(strings = {"text/html", "application/json"})
    void refusesAnotherType(String type) {
        sidecar.fail(new FakeSidecar.Answer(200, type, A + "\n"));
        assertTrue(assertThrows(IOException.class, client::read).getMessage().contains(type));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "x", "-1", "1.5", "9999999999999999999"})
    void refusesAnAnswerWithoutAGeneration(String generation) {
        sidecar.fail(new FakeSidecar.Answer(200, "text/plain", A + "\n", generation, "e1"));
        assertThrows(IOException.class, client::read);
    }

    @Test
    void refusesAnAnswerWithoutItsHeaders() {
        sidecar.fail(new FakeSidecar.Answer(200, "text/plain", A + "\n", "1", null));
        assertThrows(IOException.class, client::read);
        sidecar.fail(new FakeSidecar.Answer(200, "text/plain", A + "\n", null, "e1"));
        assertThrows(IOException.class, client::read);
    }

    @Test
    void refusesAnEndlessAnswer() {
        char[] much = new char[2 << 20];
        Arrays.fill(much, '\n');
        sidecar.fail(new FakeSidecar.Answer(200, "text/plain", new String(much)));
        assertTrue(assertThrows(IOException.class, client::read).getMessage().contains("larger"));
    }

    @Test
    void aClosedPortIsAnError() throws IOException {
        int port;
        try (ServerSocket socket = new ServerSocket(0)) {
            port = socket.getLocalPort();
        }
        assertThrows(IOException.class, new SidecarClient(URI.create("http://127.0.0.1:" + port))::read);
    }

    @Test
    void goesPastTheProxyOfTheServer() throws IOException {
        System.setProperty("http.proxyHost", "127.0.0.1");
        System.setProperty("http.proxyPort", "1");
        System.setProperty("http.nonProxyHosts", "");
        try {
            assertEquals(2, client.read().members().size());
            client.checkGate();
        } finally {
            System.clearProperty("http.proxyHost");
            System.clearProperty("http.proxyPort");
            System.clearProperty("http.nonProxyHosts");
        }
    }

    @Test
    void theGateSaysWhyItIsShut() throws IOException {
        client.checkGate();
        sidecar.openGate(false);
        IOException error = assertThrows(IOException.class, client::checkGate);
        assertTrue(error.getMessage().contains("503"), error.getMessage());
        assertTrue(error.getMessage().contains("1 of 2 expected addresses"), error.getMessage());
    }

    @Test
    void closeEndsAQuestionThatWaits() throws Exception {
        CompletableFuture<MemberList> next = ask(client.read(), 60);
        assertFalse(isDoneWithin(next, 300));
        client.close();
        assertThrows(ExecutionException.class, () -> next.get(5, TimeUnit.SECONDS));
        assertThrows(IOException.class, client::read);
    }

    private CompletableFuture<MemberList> ask(MemberList last, int seconds) {
        return CompletableFuture.supplyAsync(() -> {
            try {
                return client.readAfter(last, Duration.ofSeconds(seconds));
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        });
    }

    private static boolean isDoneWithin(CompletableFuture<?> future, long millis) throws Exception {
        try {
            future.get(millis, TimeUnit.MILLISECONDS);
            return true;
        } catch (java.util.concurrent.TimeoutException late) {
            return false;
        }
    }
}
