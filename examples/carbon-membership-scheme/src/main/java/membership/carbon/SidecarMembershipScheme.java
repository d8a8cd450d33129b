package membership.carbon;

import com.hazelcast.config.Config;
import com.hazelcast.config.JoinConfig;
import com.hazelcast.config.TcpIpConfig;
import com.hazelcast.core.HazelcastInstance;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import membership.sidecar.Formation;
import membership.sidecar.Log;
import membership.sidecar.MemberList;
import membership.sidecar.SidecarClient;
import membership.sidecar.SidecarSettings;
import org.apache.axis2.clustering.ClusteringFault;
import org.apache.axis2.description.Parameter;
import org.apache.commons.logging.LogFactory;
import org.wso2.carbon.core.clustering.hazelcast.wka.WKABasedMembershipScheme;

/**
 * Carbon's own "wka" scheme with a member list that comes from the sidecar of this pod and stays current.
 *
 * <p>One class file serves Carbon with Hazelcast 3.12 and 4.2. The two have {@code Member} and {@code IMap} in other
 * packages, so nothing here may name them: the scheme it extends does, and it also tells Carbon who joined and left.
 */
public class SidecarMembershipScheme extends WKABasedMembershipScheme {
    private static final SidecarSettings.Keys KEYS =
            new SidecarSettings.Keys("sidecar", "sidecarUrl", "sidecarGateTimeout", "sidecarOnTimeout");
    private static final Duration WAIT = Duration.ofSeconds(20);
    /** Hazelcast starts seconds after init(). If it has not after this long, Carbon runs without a cluster. */
    private static final Duration START_LIMIT = Duration.ofMinutes(10);
    private static final org.apache.commons.logging.Log LOG = LogFactory.getLog(SidecarMembershipScheme.class);

    private final Map<String, Parameter> parameters;
    private final Config config;
    private volatile HazelcastInstance instance;

    /**
     * Called by the clustering agent, which finds it by these types; the instance is null at that time.
     *
     * @param messageBuffer of ClusteringMessage, a class that WSO2 added to Axis2 and that Maven Central lacks
     */
    @SuppressWarnings({"unchecked", "rawtypes"})
    public SidecarMembershipScheme(Map<String, Parameter> parameters, String primaryDomain, Config config,
            HazelcastInstance instance, List messageBuffer) {
        super(parameters, primaryDomain, new ArrayList<>(), config, messageBuffer);
        this.parameters = parameters;
        this.config = config;
        this.instance = instance;
    }

    /** Before Hazelcast starts: holds the start until the gate is open, and sets the list to start with. */
    @Override
    public void init() throws ClusteringFault {
        super.init(); // multicast off, tcp-ip on
        SidecarSettings settings;
        try {
            settings = SidecarSettings.parse(readParameters(), KEYS);
        } catch (IllegalArgumentException error) {
            throw new ClusteringFault("Wrong settings in [clustering.properties]: " + error.getMessage());
        }
        SidecarClient client = new SidecarClient(settings.url());
        MemberList first;
        try {
            first = Formation.await(client, settings, new CarbonLog());
        } catch (IOException error) {
            throw new ClusteringFault(error.getMessage());
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new ClusteringFault("Interrupted while waiting for the formation gate");
        }
        show(first.members());
        follow(client, first);
    }

    @Override
    public void setPrimaryHazelcastInstance(HazelcastInstance primaryHazelcastInstance) {
        super.setPrimaryHazelcastInstance(primaryHazelcastInstance);
        instance = primaryHazelcastInstance;
    }

    /** Not from joinGroup() on: a member that is joining reads the list again and again, and may need a newer one. */
    private void follow(SidecarClient client, MemberList first) {
        long began = System.nanoTime();
        Thread thread = new Thread(new MemberListFollower(client, first, WAIT, () -> isWanted(began), this::show,
                new CarbonLog()), "membership-sidecar");
        thread.setDaemon(true);
        thread.setContextClassLoader(getClass().getClassLoader());
        thread.start();
    }

    private boolean isWanted(long began) {
        HazelcastInstance running = instance;
        if (running != null) {
            return running.getLifecycleService().isRunning();
        }
        return System.nanoTime() - began < START_LIMIT.toNanos();
    }

    /**
     * Swaps the whole TcpIpConfig: its setMembers clears first and then adds one by one, while a joiner may be reading.
     * Addresses that Carbon added meanwhile go with the old one; the sidecar names them, or they have left.
     */
    private void show(List<String> members) {
        JoinConfig join = config.getNetworkConfig().getJoin();
        TcpIpConfig old = join.getTcpIpConfig();
        TcpIpConfig next = new TcpIpConfig();
        next.setEnabled(true);
        next.setConnectionTimeoutSeconds(old.getConnectionTimeoutSeconds());
        next.setRequiredMember(old.getRequiredMember());
        next.setMembers(new ArrayList<>(members));
        join.setTcpIpConfig(next);
        LOG.info("Member list of tcp-ip join: " + join.getTcpIpConfig().getMembers());
    }

    private Map<String, String> readParameters() {
        Map<String, String> found = new HashMap<>();
        for (Map.Entry<String, Parameter> entry : parameters.entrySet()) {
            Object value = entry.getValue() == null ? null : entry.getValue().getValue();
            if (value != null) {
                found.put(entry.getKey(), value.toString());
            }
        }
        return found;
    }

    private static final class CarbonLog implements Log {
        @Override
        public void info(String text) {
            LOG.info(text);
        }

        @Override
        public void warn(String text) {
            LOG.warn(text);
        }
    }
}
