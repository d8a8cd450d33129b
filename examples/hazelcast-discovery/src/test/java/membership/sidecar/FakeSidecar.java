package membership.sidecar;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** The sidecar's /members and /startupz over real HTTP, with blocking queries, and with faults when told so. */
public final class FakeSidecar implements AutoCloseable {
    /** What came in, in order: path and query. */
    public final List<String> asked = new CopyOnWriteArrayList<>();

    private final HttpServer server;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private boolean gateOpen = true;
    private boolean ignoresWait;
    private boolean newEachTime;
    private long generation = 1;
    private String epoch = "e1";
    private String[] members;
    private Answer fault;

    /** An answer in place of the list. */
    public static final class Answer {
        final int status;
        final String type;
        final String body;
        final String generation;
        final String epoch;

        public Answer(int status, String type, String body) {
            this(status, type, body, "1", "e1");
        }

        public Answer(int status, String type, String body, String generation, String epoch) {
            this.status = status;
            this.type = type;
            this.body = body;
            this.generation = generation;
            this.epoch = epoch;
        }
    }

    public FakeSidecar(String... members) throws IOException {
        this.members = members;
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", this::answer);
        server.setExecutor(threads);
        server.start();
    }

    public URI url() {
        return URI.create("http://127.0.0.1:" + server.getAddress().getPort());
    }

    public synchronized void show(String... now) {
        members = now;
        generation++;
        fault = null;
        notifyAll();
    }

    /** As a new process: its generations begin anew. */
    public synchronized void restart(String newEpoch, String... now) {
        members = now;
        epoch = newEpoch;
        generation = 1;
        fault = null;
        notifyAll();
    }

    public synchronized void fail(Answer with) {
        fault = with;
        notifyAll();
    }

    public synchronized void openGate(boolean open) {
        gateOpen = open;
    }

    public synchronized void ignoreWait() {
        ignoresWait = true;
        notifyAll();
    }

    /** Every answer is another generation. */
    public synchronized void hurry() {
        newEachTime = true;
        notifyAll();
    }

    public int questions() {
        return (int) asked.stream().filter(path -> path.startsWith("/members")).count();
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }

    private void answer(HttpExchange exchange) throws IOException {
        try {
            asked.add(exchange.getRequestURI().toString());
            Answer answer = exchange.getRequestURI().getPath().equals("/startupz") ? gate() : list(exchange);
            exchange.getResponseHeaders().set("Content-Type", answer.type);
            if (answer.generation != null) {
                exchange.getResponseHeaders().set("X-Membership-Generation", answer.generation);
            }
            if (answer.epoch != null) {
                exchange.getResponseHeaders().set("X-Membership-Epoch", answer.epoch);
            }
            if (answer.status == 302) {
                exchange.getResponseHeaders().set("Location", "/members?format=lines");
            }
            byte[] body = answer.body.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(answer.status, body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        } finally {
            exchange.close();
        }
    }

    private synchronized Answer gate() {
        return gateOpen ? new Answer(200, "text/plain", "ok\n")
                : new Answer(503, "text/plain", "[-]formation gate: 1 of 2 expected addresses\n");
    }

    private synchronized Answer list(HttpExchange exchange) throws InterruptedException {
        String query = exchange.getRequestURI().getQuery();
        long until = System.nanoTime() + waitOf(query) * 1_000_000_000L;
        while (fault == null && !ignoresWait && !newEachTime && query.contains("index=" + generation + "&")
                && query.endsWith("epoch=" + epoch)) {
            long left = (until - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                break;
            }
            wait(left);
        }
        if (newEachTime) {
            generation++;
        }
        String body = members.length == 0 ? "" : String.join("\n", members) + "\n";
        return fault != null ? fault
                : new Answer(200, "text/plain; charset=utf-8", body, String.valueOf(generation), epoch);
    }

    private static long waitOf(String query) {
        for (String part : query.split("&")) {
            if (part.startsWith("wait=")) {
                return Long.parseLong(part.substring(5, part.length() - 1));
            }
        }
        return 0;
    }
}
