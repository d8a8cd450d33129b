package membership.sidecar;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Asks the sidecar of this pod: may a member start, and which members are there.
 *
 * <p>An answer is taken as a whole or refused as a whole, by an {@link IOException} that says why. A list that is cut
 * short, empty or not a list at all would make Hazelcast members form clusters of their own.
 */
public final class SidecarClient {
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(2);
    /** What an answer may take beyond the time it was told to wait. */
    private static final Duration ANSWER_TIMEOUT = Duration.ofSeconds(5);
    private static final int LARGEST_ANSWER = 1 << 20;
    private static final Pattern IPV4 = Pattern.compile("([0-9]{1,3})\\.([0-9]{1,3})\\.([0-9]{1,3})\\.([0-9]{1,3})");
    private static final Pattern IPV6 = Pattern.compile("\\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\\]");
    private static final Pattern PORT = Pattern.compile("[1-9][0-9]{0,4}");

    private final URI url;
    private volatile HttpURLConnection open;
    private volatile boolean closed;

    /** {@code url} is where the sidecar listens, without a path. */
    public SidecarClient(URI url) {
        this.url = url;
    }

    /** Returns when a member may start; throws with the sidecar's reason while it may not. */
    public void checkGate() throws IOException {
        HttpURLConnection connection = ask("/startupz", Duration.ZERO);
        int status = connection.getResponseCode();
        String text = readBody(connection);
        if (status != HttpURLConnection.HTTP_OK) {
            throw new IOException(connection.getURL() + " answered " + status + ": " + shorten(text));
        }
    }

    /** The list as it is now. */
    public MemberList read() throws IOException {
        return readList("/members?format=lines", Duration.ZERO);
    }

    /** The list as soon as it is another one than {@code last}, or the same again after {@code wait}. */
    public MemberList readAfter(MemberList last, Duration wait) throws IOException {
        // A process that does not know this epoch answers at once; without "epoch" it would have to guess by the index.
        String query = "/members?format=lines&index=" + last.generation() + "&wait=" + wait.getSeconds() + "s&epoch="
                + URLEncoder.encode(last.epoch(), "UTF-8");
        return readList(query, wait);
    }

    /** Ends a question that is under way, and refuses further ones. */
    public void close() {
        closed = true;
        HttpURLConnection connection = open;
        if (connection != null) {
            connection.disconnect();
        }
    }

    private MemberList readList(String path, Duration wait) throws IOException {
        HttpURLConnection connection = ask(path, wait);
        int status = connection.getResponseCode();
        String body = readBody(connection);
        if (status != HttpURLConnection.HTTP_OK) {
            throw new IOException(connection.getURL() + " answered " + status + ": " + shorten(body));
        }
        String type = connection.getContentType();
        if (type == null || !type.startsWith("text/plain")) {
            throw new IOException(connection.getURL() + " answered with " + type + " in place of text/plain");
        }
        String epoch = connection.getHeaderField("X-Membership-Epoch");
        if (epoch == null || epoch.isEmpty()) {
            throw new IOException(connection.getURL() + " answered without X-Membership-Epoch: is it the sidecar?");
        }
        return new MemberList(parse(body), parseGeneration(connection), epoch);
    }

    private HttpURLConnection ask(String path, Duration wait) throws IOException {
        // Carbon may have been given a proxy for the outside world; the sidecar is in this pod.
        HttpURLConnection connection = (HttpURLConnection) url.resolve(path).toURL().openConnection(Proxy.NO_PROXY);
        connection.setConnectTimeout((int) CONNECT_TIMEOUT.toMillis());
        connection.setReadTimeout((int) wait.plus(ANSWER_TIMEOUT).toMillis());
        connection.setInstanceFollowRedirects(false);
        connection.setUseCaches(false);
        open = connection;
        if (closed) {
            throw new IOException("closed");
        }
        return connection;
    }

    private static long parseGeneration(HttpURLConnection connection) throws IOException {
        String generation = connection.getHeaderField("X-Membership-Generation");
        if (generation == null || !generation.matches("[0-9]{1,18}")) {
            throw new IOException(connection.getURL() + " answered with X-Membership-Generation " + generation);
        }
        return Long.parseLong(generation);
    }

    private static ArrayList<String> parse(String body) throws IOException {
        Set<String> members = new LinkedHashSet<>();
        if (body.isEmpty()) {
            throw new IOException("the list is empty");
        }
        if (!body.endsWith("\n")) {
            throw new IOException("the list is cut short: its last line has no end: " + shorten(body));
        }
        for (String line : body.substring(0, body.length() - 1).split("\n", -1)) {
            if (!isMember(line)) {
                throw new IOException("the list has a line that is not address:port: '" + shorten(line) + "'");
            }
            members.add(line);
        }
        return new ArrayList<>(members);
    }

    private static boolean isMember(String line) {
        int colon = line.lastIndexOf(':');
        if (colon < 0) {
            return false;
        }
        String port = line.substring(colon + 1);
        return isAddress(line.substring(0, colon)) && PORT.matcher(port).matches() && Integer.parseInt(port) <= 65535;
    }

    private static boolean isAddress(String text) {
        Matcher found = IPV4.matcher(text);
        if (!found.matches()) {
            return IPV6.matcher(text).matches();
        }
        for (int part = 1; part <= 4; part++) {
            if (Integer.parseInt(found.group(part)) > 255) {
                return false;
            }
        }
        return true;
    }

    private static String readBody(HttpURLConnection connection) throws IOException {
        boolean well = connection.getResponseCode() < HttpURLConnection.HTTP_BAD_REQUEST;
        try (InputStream stream = well ? connection.getInputStream() : connection.getErrorStream()) {
            ByteArrayOutputStream body = new ByteArrayOutputStream();
            byte[] part = new byte[8192];
            for (int count; stream != null && (count = stream.read(part)) >= 0; ) {
                body.write(part, 0, count);
                if (body.size() > LARGEST_ANSWER) {
                    connection.disconnect();
                    throw new IOException("the answer is larger than " + LARGEST_ANSWER + " bytes");
                }
            }
            return new String(body.toByteArray(), StandardCharsets.UTF_8);
        }
    }

    private static String shorten(String text) {
        String line = text.trim().replaceAll("\\s+", " ");
        return line.length() <= 200 ? line : line.substring(0, 200) + "...";
    }
}
