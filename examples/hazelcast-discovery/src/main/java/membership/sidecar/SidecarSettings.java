package membership.sidecar;

import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where the sidecar is, how long its gate is waited for, and what happens then. */
public final class SidecarSettings {
    /** The sidecar's own default. */
    public static final String DEFAULT_URL = "http://127.0.0.1:4080";
    /** Longer than the sidecar's 120 s, so that its own --on-timeout is what counts. */
    public static final String DEFAULT_GATE_TIMEOUT = "180s";
    public static final String DEFAULT_ON_TIMEOUT = "start";

    private static final Pattern DURATION = Pattern.compile("([0-9]{1,7})(ms|s|m)?");
    private static final Duration LONGEST = Duration.ofHours(1);

    private final URI url;
    private final Duration gateTimeout;
    private final boolean failOnTimeout;

    private SidecarSettings(URI url, Duration gateTimeout, boolean failOnTimeout) {
        this.url = url;
        this.gateTimeout = gateTimeout;
        this.failOnTimeout = failOnTimeout;
    }

    /** The names under which the settings are given; those that begin with {@code prefix} are all ours. */
    public static final class Keys {
        private final String prefix;
        private final String url;
        private final String gateTimeout;
        private final String onTimeout;

        public Keys(String prefix, String url, String gateTimeout, String onTimeout) {
            this.prefix = prefix;
            this.url = url;
            this.gateTimeout = gateTimeout;
            this.onTimeout = onTimeout;
        }
    }

    /** The settings among {@code given}; {@link IllegalArgumentException} that names every key that is wrong. */
    public static SidecarSettings parse(Map<String, String> given, Keys keys) {
        List<String> wrong = new ArrayList<>();
        for (String key : new TreeSet<>(given.keySet())) {
            boolean known = key.equals(keys.url) || key.equals(keys.gateTimeout) || key.equals(keys.onTimeout);
            if (key.startsWith(keys.prefix) && !known) {
                wrong.add(key + " is no setting: there are " + keys.url + ", " + keys.gateTimeout + " and "
                        + keys.onTimeout);
            }
        }
        URI url = null;
        Duration gateTimeout = null;
        try {
            url = parseUrl(given.getOrDefault(keys.url, DEFAULT_URL).trim());
        } catch (IllegalArgumentException error) {
            wrong.add(keys.url + ": " + error.getMessage());
        }
        try {
            gateTimeout = parseDuration(given.getOrDefault(keys.gateTimeout, DEFAULT_GATE_TIMEOUT).trim());
        } catch (IllegalArgumentException error) {
            wrong.add(keys.gateTimeout + ": " + error.getMessage());
        }
        String onTimeout = given.getOrDefault(keys.onTimeout, DEFAULT_ON_TIMEOUT).trim();
        if (!onTimeout.equals("start") && !onTimeout.equals("fail")) {
            wrong.add(keys.onTimeout + ": '" + onTimeout + "' is neither start nor fail");
        }
        if (!wrong.isEmpty()) {
            throw new IllegalArgumentException(String.join("; ", wrong));
        }
        return new SidecarSettings(url, gateTimeout, onTimeout.equals("fail"));
    }

    public URI url() {
        return url;
    }

    public Duration gateTimeout() {
        return gateTimeout;
    }

    public boolean failOnTimeout() {
        return failOnTimeout;
    }

    private static URI parseUrl(String text) {
        URI found;
        try {
            found = URI.create(text);
        } catch (IllegalArgumentException error) {
            throw new IllegalArgumentException("'" + text + "' is not a URL such as " + DEFAULT_URL);
        }
        boolean bare = found.getRawQuery() == null && found.getRawFragment() == null && found.getRawUserInfo() == null;
        String path = found.getRawPath();
        if (!"http".equals(found.getScheme()) || found.getHost() == null || !bare) {
            throw new IllegalArgumentException("'" + text + "' is not a URL such as " + DEFAULT_URL);
        }
        if (path != null && !path.isEmpty() && !path.equals("/")) {
            throw new IllegalArgumentException("'" + text + "' has a path; the sidecar has none in front of /members");
        }
        if (found.getPort() == 0 || found.getPort() > 65535) {
            throw new IllegalArgumentException("port " + found.getPort() + " is not between 1 and 65535");
        }
        return found;
    }

    private static Duration parseDuration(String text) {
        Matcher found = DURATION.matcher(text);
        if (!found.matches()) {
            throw new IllegalArgumentException("'" + text + "' is not a time such as 500ms, 120s or 3m");
        }
        long number = Long.parseLong(found.group(1));
        Duration duration = "ms".equals(found.group(2)) ? Duration.ofMillis(number)
                : "m".equals(found.group(2)) ? Duration.ofMinutes(number) : Duration.ofSeconds(number);
        if (duration.compareTo(LONGEST) > 0) {
            throw new IllegalArgumentException("'" + text + "' is longer than an hour");
        }
        return duration;
    }
}
