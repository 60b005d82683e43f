package leap.peers;

import java.io.IOException;
import java.util.concurrent.CountDownLatch;

/**
 * A contestant's turn as the benchmark sees it: a line when the first mark is taken, a line when the last one is kept,
 * and the process waits until the benchmark has read its clocks and closed the standard input.
 *
 * <p>Static, since a Flink operator is copied to where it runs. A turn that warms up says nothing.
 */
final class Turn {
    private static CountDownLatch allTaken;
    private static int marks, taken;
    private static boolean counted;

    /** A new turn of so many marks; nobody takes any until it stands. */
    static void of(int expected, boolean isCounted) {
        allTaken = new CountDownLatch(1);
        marks = expected;
        taken = 0;
        counted = isCounted;
    }

    /** So many marks were taken, by the one thread that takes them; true with the last that the turn is about. */
    static boolean took(int more) {
        int before = taken;
        taken += more;
        if (before == 0 && more > 0 && counted) {
            say("{\"said\": \"began\"}");
        }
        boolean last = before < marks && taken >= marks;
        if (last) {
            allTaken.countDown();
        }
        return last;
    }

    static void awaitTaken() throws InterruptedException {
        allTaken.await();
    }

    static void done() throws IOException {
        say("{\"said\": \"done\", \"marks\": " + marks + "}");
        while (System.in.read() >= 0) {
            // nobody writes; the end is what is waited for
        }
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private Turn() {}
}
