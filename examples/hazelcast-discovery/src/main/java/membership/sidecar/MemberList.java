package membership.sidecar;

import java.util.Collections;
import java.util.List;

/** A member list that was checked as a whole: one or more {@code address:port}, each once, and which list it is. */
public final class MemberList {
    private final List<String> members;
    private final long generation;
    private final String epoch;

    /** {@code generation} counts the lists of one sidecar process, {@code epoch} names the process. */
    public MemberList(List<String> members, long generation, String epoch) {
        this.members = Collections.unmodifiableList(members);
        this.generation = generation;
        this.epoch = epoch;
    }

    /** Never empty. */
    public List<String> members() {
        return members;
    }

    public long generation() {
        return generation;
    }

    public String epoch() {
        return epoch;
    }

    /** Whether the sidecar means the same list; after its restart it never does, whatever the generations. */
    public boolean isSameAs(MemberList other) {
        return other != null && generation == other.generation && epoch.equals(other.epoch);
    }
}
