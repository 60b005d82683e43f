package leap.peers;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * One student's school year as ONE value of the state store: per school the days marked and missed as bitmaps, and each
 * mark's version, so that the newest wins in whatever order they come.
 */
final class StudentYear {
    private static final int WORDS = 6; // 6 * 64 bits hold the 366 days of a school year
    private static final int MIN_ENROLLED_DAYS = 10;

    private final List<Part> parts = new ArrayList<>(1);
    private boolean chronic;

    /** What one school knows. The n-th version belongs to the n-th marked day. */
    private static final class Part {
        final byte[] school;
        final long[] marked = new long[WORDS];
        final long[] missed = new long[WORDS];
        long[] versions = {};

        Part(byte[] school) {
            this.school = school;
        }
    }

    /** What became of a mark: an older version was known, or it is kept, or the student crossed the 10 % line by it. */
    enum Taken {
        TOO_OLD,
        KEPT,
        CROSSED
    }

    /** Take a mark; the newest version wins. */
    Taken take(Mark mark) {
        Part part = partOf(mark.school().getBytes(StandardCharsets.UTF_8));
        int word = mark.day() >> 6;
        long bit = 1L << mark.day();
        int place = Long.bitCount(part.marked[word] & (bit - 1));
        for (int before = 0; before < word; before++) {
            place += Long.bitCount(part.marked[before]);
        }
        if ((part.marked[word] & bit) == 0) {
            part.marked[word] |= bit;
            part.versions = withRoomAt(place, part.versions);
        } else if (part.versions[place] >= mark.version()) {
            return Taken.TOO_OLD;
        }
        part.versions[place] = mark.version();
        part.missed[word] = mark.absent() ? part.missed[word] | bit : part.missed[word] & ~bit;

        int enrolled = enrolled();
        boolean was = chronic;
        chronic = enrolled >= MIN_ENROLLED_DAYS && 10 * absent() >= enrolled;
        return chronic == was ? Taken.KEPT : Taken.CROSSED;
    }

    int enrolled() {
        int days = 0;
        for (Part part : parts) {
            days += part.versions.length;
        }
        return days;
    }

    int absent() {
        int days = 0;
        for (Part part : parts) {
            for (long word : part.missed) {
                days += Long.bitCount(word);
            }
        }
        return days;
    }

    /** What is told when the student crosses; the referee reads it. */
    String crossing(String student) {
        return "{\"student_key\":\"" + student + "\",\"chronic\":" + chronic + ",\"figures\":[" + enrolled() + ","
                + absent() + "]}";
    }

    byte[] written() {
        int size = 2;
        for (Part part : parts) {
            size += 1 + part.school.length + 2 * 8 * WORDS + 10 * part.versions.length;
        }
        ByteBuffer out = ByteBuffer.allocate(size);
        out.put((byte) (chronic ? 1 : 0)).put((byte) parts.size());
        for (Part part : parts) {
            out.put((byte) part.school.length).put(part.school);
            for (int word = 0; word < WORDS; word++) {
                out.putLong(part.marked[word]).putLong(part.missed[word]);
            }
            for (long version : part.versions) {
                putShort(out, version);
            }
        }
        byte[] bytes = new byte[out.position()];
        out.flip().get(bytes);
        return bytes;
    }

    static StudentYear read(byte[] bytes) {
        StudentYear year = new StudentYear();
        if (bytes == null) {
            return year;
        }
        ByteBuffer in = ByteBuffer.wrap(bytes);
        year.chronic = in.get() == 1;
        for (int count = in.get(); count > 0; count--) {
            byte[] school = new byte[in.get()];
            in.get(school);
            Part part = new Part(school);
            int days = 0;
            for (int word = 0; word < WORDS; word++) {
                part.marked[word] = in.getLong();
                part.missed[word] = in.getLong();
                days += Long.bitCount(part.marked[word]);
            }
            part.versions = new long[days];
            for (int day = 0; day < days; day++) {
                part.versions[day] = getShort(in);
            }
            year.parts.add(part);
        }
        return year;
    }

    private Part partOf(byte[] school) {
        for (Part part : parts) {
            if (Arrays.equals(part.school, school)) {
                return part;
            }
        }
        Part part = new Part(school);
        parts.add(part);
        return part;
    }

    private static long[] withRoomAt(int place, long[] versions) {
        long[] longer = new long[versions.length + 1];
        System.arraycopy(versions, 0, longer, 0, place);
        System.arraycopy(versions, place, longer, place + 1, versions.length - place);
        return longer;
    }

    /** Seven bits a byte: small versions take one, those that are times of day nine. */
    private static void putShort(ByteBuffer out, long number) {
        while ((number & ~0x7FL) != 0) {
            out.put((byte) (number & 0x7F | 0x80));
            number >>>= 7;
        }
        out.put((byte) number);
    }

    private static long getShort(ByteBuffer in) {
        long number = 0;
        for (int shift = 0; ; shift += 7) {
            byte next = in.get();
            number |= (next & 0x7FL) << shift;
            if (next >= 0) {
                return number;
            }
        }
    }
}
