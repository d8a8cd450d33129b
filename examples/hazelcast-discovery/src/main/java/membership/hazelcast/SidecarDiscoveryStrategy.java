package membership.hazelcast;

import com.hazelcast.logging.ILogger;
import com.hazelcast.spi.discovery.AbstractDiscoveryStrategy;
import com.hazelcast.spi.discovery.DiscoveryNode;
import com.hazelcast.spi.discovery.SimpleDiscoveryNode;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import membership.sidecar.Formation;
import membership.sidecar.Log;
import membership.sidecar.MemberList;
import membership.sidecar.SidecarClient;
import membership.sidecar.SidecarSettings;

/**
 * Hazelcast's members are those of the sidecar of this pod, asked whenever Hazelcast asks: a few times while it joins,
 * and once per merge interval for as long as it is the master. So there is no thread here, and nothing gets old.
 */
public final class SidecarDiscoveryStrategy extends AbstractDiscoveryStrategy {
    private static final SidecarSettings.Keys KEYS = new SidecarSettings.Keys("sidecar-",
            SidecarDiscoveryStrategyFactory.URL, SidecarDiscoveryStrategyFactory.GATE_TIMEOUT,
            SidecarDiscoveryStrategyFactory.ON_TIMEOUT);

    private final SidecarSettings settings;
    private final SidecarClient client;
    private volatile MemberList last;
    private volatile String complaint;

    /** {@link IllegalArgumentException} that names the properties that are wrong. */
    @SuppressWarnings("rawtypes")
    public SidecarDiscoveryStrategy(ILogger logger, Map<String, Comparable> properties) {
        super(logger, properties);
        Map<String, String> given = new HashMap<>();
        properties.forEach((key, value) -> given.put(key, String.valueOf(value)));
        settings = SidecarSettings.parse(given, KEYS);
        client = new SidecarClient(settings.url());
    }

    /** Before Hazelcast joins: holds its start until the gate is open. */
    @Override
    public void start() {
        try {
            last = Formation.await(client, settings, new HazelcastLog());
            getLogger().info("Members by the sidecar: " + last.members());
        } catch (IOException error) {
            throw new IllegalStateException(error.getMessage(), error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("Interrupted while waiting for the formation gate", error);
        }
    }

    /** The members as they are now; on any error as they were last. */
    @Override
    public Iterable<DiscoveryNode> discoverNodes() {
        try {
            MemberList next = client.read();
            if (last == null || !next.members().equals(last.members())) {
                getLogger().info("Members by the sidecar: " + next.members());
            }
            last = next;
            complaint = null;
        } catch (IOException error) {
            String text = String.valueOf(error.getMessage());
            if (!text.equals(complaint)) {
                complaint = text;
                getLogger().warning("The member list stays as it is: " + text);
            }
        }
        List<DiscoveryNode> nodes = new ArrayList<>();
        if (last != null) {
            for (String member : last.members()) {
                nodes.add(node(member));
            }
        }
        return nodes;
    }

    @Override
    public void destroy() {
        client.close();
    }

    /**
     * Address is com.hazelcast.nio.Address in 3.x and com.hazelcast.cluster.Address since 4.0. To be one class file for
     * all, this names neither, and takes what the node's constructor of one argument wants.
     */
    private static DiscoveryNode node(String member) {
        int colon = member.lastIndexOf(':');
        String host = member.substring(0, colon).replace("[", "").replace("]", "");
        int port = Integer.parseInt(member.substring(colon + 1));
        try {
            for (Constructor<?> constructor : SimpleDiscoveryNode.class.getConstructors()) {
                if (constructor.getParameterCount() == 1) {
                    Object address = constructor.getParameterTypes()[0].getConstructor(String.class, int.class)
                            .newInstance(host, port);
                    return (DiscoveryNode) constructor.newInstance(address);
                }
            }
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException("Hazelcast takes no address such as " + member, error);
        }
        throw new IllegalStateException("this Hazelcast has no SimpleDiscoveryNode(Address)");
    }

    private final class HazelcastLog implements Log {
        @Override
        public void info(String text) {
            getLogger().info(text);
        }

        @Override
        public void warn(String text) {
            getLogger().warning(text);
        }
    }
}
