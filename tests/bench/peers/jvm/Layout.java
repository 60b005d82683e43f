package leap.peers;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** How a peer keeps what it knows: one value for a student's year, or one for 64 students' years. */
enum Layout {
    STUDENT {
        @Override
        void judge(List<Mark> marks, Kept kept, Told told) throws Exception {
            for (Mark mark : marks) {
                StudentYear year = StudentYear.read(kept.get(mark.student(), mark.schoolYear()));
                if (taken(year, mark, told)) {
                    kept.put(mark.student(), mark.schoolYear(), year.written());
                }
            }
        }
    },
    PAGE {
        @Override
        void judge(List<Mark> marks, Kept kept, Told told) throws Exception {
            Map<String, List<Mark>> byPage = new LinkedHashMap<>();
            for (Mark mark : marks) {
                byPage.computeIfAbsent(StudentPage.of(mark), unknown -> new ArrayList<>())
                        .add(mark);
            }
            for (Map.Entry<String, List<Mark>> each : byPage.entrySet()) {
                int schoolYear = each.getValue().get(0).schoolYear(); // a roll is of one day
                StudentPage page = StudentPage.read(kept.get(each.getKey(), schoolYear));
                boolean changed = false;
                for (Mark mark : each.getValue()) {
                    changed |= taken(page.year(mark.student()), mark, told);
                }
                if (changed) {
                    kept.put(each.getKey(), schoolYear, page.written());
                }
            }
        }
    };

    /** The state store of a peer: a value under whose it is and a school year. */
    interface Kept {
        byte[] get(String whose, int schoolYear) throws Exception;

        void put(String whose, int schoolYear, byte[] value) throws Exception;
    }

    /** Where a peer's crossings go. */
    interface Told {
        void crossing(String student, byte[] json);
    }

    static Layout named(String name) {
        return name.equals("page") ? PAGE : STUDENT;
    }

    /** Take marks in their order, keep what changed, and tell who crossed the 10 % line. */
    abstract void judge(List<Mark> marks, Kept kept, Told told) throws Exception;

    private static boolean taken(StudentYear year, Mark mark, Told told) {
        StudentYear.Taken taken = year.take(mark);
        if (taken == StudentYear.Taken.CROSSED) {
            told.crossing(mark.student(), year.crossing(mark.student()).getBytes(StandardCharsets.UTF_8));
        }
        return taken != StudentYear.Taken.TOO_OLD;
    }
}
