// Exercises the devices of boards/renode without Renode, on the stubs beside this file. `microphone` checks
// itself; `mvp LIBRARY FOLDER` runs the programs of a folder and leaves what they made there for the test.
using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;

using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.CPU;
using Antmicro.Renode.Peripherals.Memory;
using Antmicro.Renode.Peripherals.Miscellaneous;
using Antmicro.Renode.Peripherals.Sound;
using Antmicro.Renode.Peripherals.Timers;
using Antmicro.Renode.Time;
using Antmicro.Renode.Utilities;

public class Clock : IClockSource
{
}

// RAM and flash at their addresses, reached as the bus would.
public class Bus : IBusController
{
    public Bus(MappedMemory ram, MappedMemory flash)
    {
        this.ram = ram;
        this.flash = flash;
    }

    public byte ReadByte(ulong address, IPeripheral context = null, ulong? cpuState = null)
    {
        Accesses++;
        var memory = address >= 0x20000000 ? ram : flash;
        var offset = (int)(address - (memory == ram ? 0x20000000UL : 0x08000000UL));
        return Marshal.ReadByte(memory.GetSegment(offset / memory.SegmentSize), offset % memory.SegmentSize);
    }

    public void WriteByte(ulong address, byte value, IPeripheral context = null, ulong? cpuState = null)
    {
        var offset = (int)(address - 0x20000000UL);
        Marshal.WriteByte(ram.GetSegment(offset / ram.SegmentSize), offset % ram.SegmentSize, value);
    }

    public ushort ReadWord(ulong address, IPeripheral context = null, ulong? cpuState = null)
    {
        return (ushort)(ReadByte(address) | ReadByte(address + 1) << 8);
    }

    public void WriteWord(ulong address, ushort value, IPeripheral context = null, ulong? cpuState = null)
    {
        WriteByte(address, (byte)value);
        WriteByte(address + 1, (byte)(value >> 8));
    }

    public uint ReadDoubleWord(ulong address, IPeripheral context = null, ulong? cpuState = null)
    {
        return (uint)(ReadWord(address) | ReadWord(address + 2) << 16);
    }

    public void WriteDoubleWord(ulong address, uint value, IPeripheral context = null, ulong? cpuState = null)
    {
        WriteWord(address, (ushort)value);
        WriteWord(address + 2, (ushort)(value >> 16));
    }

    public bool TryGetCurrentCPU(out ICPU cpu)
    {
        cpu = null;
        return false;
    }

    public ulong Accesses;

    private readonly MappedMemory ram;
    private readonly MappedMemory flash;
}

public class Chip : IMachine
{
    public Chip(IBusController bus)
    {
        SystemBus = bus;
        ClockSource = new Clock();
    }

    public IBusController SystemBus { get; private set; }

    public IClockSource ClockSource { get; private set; }
}

// Answers a request as Renode's LDMA does: at once, as long as the line stays high.
public class Dma : IGPIOReceiver
{
    public Dma(Func<ushort> read)
    {
        this.read = read;
    }

    public void OnGPIO(int number, bool value)
    {
        high = value;
        if(busy)
        {
            return;
        }
        busy = true;
        while(high && Listens)
        {
            Samples.Add((short)read());
        }
        busy = false;
    }

    public void Reset()
    {
    }

    public bool Listens = true;

    public readonly List<short> Samples = new List<short>();

    private bool high;
    private bool busy;

    private readonly Func<ushort> read;
}

public static class Driver
{
    public static int Main(string[] arguments)
    {
        try
        {
            if(arguments[0] == "microphone")
            {
                Microphone(arguments[1]);
            }
            else
            {
                Accelerator(arguments[1], arguments[2]);
            }
        }
        catch(Exception e)
        {
            Console.Error.WriteLine(e);
            return 1;
        }
        Console.WriteLine("ok");
        return 0;
    }

    private static void Check(bool condition, string what)
    {
        if(!condition)
        {
            throw new Exception("not so: " + what);
        }
    }

    // Writes what firmware/chips/efr32mg24/microphone.c writes, in its order.
    private static void StartMicrophone(TokayI2sMicrophone usart, uint divider)
    {
        usart.WriteDoubleWord(0x004, 1);
        usart.WriteDoubleWord(0x008, 1u | 1u << 10 | 1u << 29);
        usart.WriteDoubleWord(0x00C, 13u | 1u << 12);
        usart.WriteDoubleWord(0x01C, (divider - 1) << 8);
        usart.WriteDoubleWord(0x014, 1u << 4 | 1u << 10 | 1u << 11);
        usart.WriteDoubleWord(0x054, 1u | 1u << 3 | 1u << 4 | 3u << 8);
        usart.WriteDoubleWord(0x2048, 1u << 4);
        usart.WriteDoubleWord(0x104C, 1u << 4);
        usart.WriteDoubleWord(0x014, 1u | 1u << 2);
    }

    private static void Microphone(string folder)
    {
        var chip = new Chip(new Bus(new MappedMemory(0x1000, 0x1000), new MappedMemory(0x1000, 0x1000)));
        var usart = new TokayI2sMicrophone(chip, 39000000);
        var timer = LimitTimer.All[LimitTimer.All.Count - 1];
        var dma = new Dma(() => usart.ReadWord(0x02C));
        usart.RxDataAvailableRequest.Connect(dma, 0x40);
        var file = Path.Combine(folder, "speech.wav");
        usart.Audio = file;
        usart.WakeUpFrames = 5;
        Check(!usart.IsRunning, "silent after reset");
        StartMicrophone(usart, 19);
        Check(usart.IsRunning && timer.Enabled, "runs");
        Check(timer.Limit == 16 * 128 * 19, "16 frames take 16 * 128 * 19 cycles of PCLK");

        timer.Elapse(16 * 128 * 19 - 1);
        Check(dma.Samples.Count == 0, "nothing before a batch is over");
        timer.Elapse(1);
        Check(dma.Samples.Count == 16, "sixteen left words, each seen by the DMA once");
        for(var i = 0; i < 16; i++)
        {
            Check(dma.Samples[i] == (i < 5 ? 0 : 1000 * (i - 5) - 7000), "sample " + i);
        }
        timer.Elapse(16 * 128 * 19);
        Check(dma.Samples[20] == 0 && usart.Frames == 32, "silence after the file");
        Check((usart.ReadDoubleWord(0x048) & 1 << 4) == 0 && !usart.ReceiveIRQ.IsSet, "no overflow while the DMA listens");

        // The DMA stops: two words fit, what follows is lost and said to be.
        dma.Listens = false;
        timer.Elapse(16 * 128 * 19);
        Check((usart.ReadDoubleWord(0x048) & 1 << 4) != 0 && usart.ReceiveIRQ.IsSet, "overflow is an interrupt");
        Check(usart.LostWords == 14, "fourteen words lost");
        usart.WriteDoubleWord(0x2048, 1u << 4);
        Check(!usart.ReceiveIRQ.IsSet, "until it is cleared");

        // Stopped as the firmware does it, and started again: the file begins anew.
        usart.WriteDoubleWord(0x014, 1u << 1 | 1u << 3 | 1u << 5);
        Check(!usart.IsRunning && !timer.Enabled, "stopped");
        usart.WriteDoubleWord(0x054, 0);
        usart.WriteDoubleWord(0x004, 0);
        dma.Samples.Clear();
        dma.Listens = true;
        usart.WakeUpFrames = 0;
        usart.Audio = Path.Combine(folder, "speech.raw");
        StartMicrophone(usart, 19);
        timer.Elapse(16 * 128 * 19);
        Check(dma.Samples.Count == 16 && dma.Samples[0] == 1 && dma.Samples[1] == -2, "headerless audio, from its start");

        // With the right request wired, the right slot goes where it should, and is 0.
        var both = new TokayI2sMicrophone(chip, 39000000);
        var clock = LimitTimer.All[LimitTimer.All.Count - 1];
        var left = new Dma(() => both.ReadWord(0x02C));
        var right = new Dma(() => both.ReadWord(0x02C));
        both.RxDataAvailableRequest.Connect(left, 0x40);
        both.RxDataAvailableRightRequest.Connect(right, 0x41);
        both.Audio = Path.Combine(folder, "stereo.wav");
        StartMicrophone(both, 38);
        clock.Elapse(16 * 128 * 38);
        Check(left.Samples.Count == 16 && right.Samples.Count == 16 && right.Samples[3] == 0, "both slots");
        Check(left.Samples[0] == 11 && left.Samples[1] == 22, "the first channel of a file with two");

        // A file that is not there is said so, and is silence.
        both.WriteDoubleWord(0x004, 0);
        both.Audio = Path.Combine(folder, "missing.wav");
        Logger.Lines.Clear();
        StartMicrophone(both, 38);
        Check(Logger.Lines.Count == 1 && Logger.Lines[0].Contains("missing.wav"), "a missing file is reported");
        both.Reset();
        Check(!both.IsRunning && both.ReadDoubleWord(0x008) == 0, "reset");
    }

    private static byte[] Bytes(MappedMemory memory)
    {
        var bytes = new byte[memory.Size];
        for(var i = 0; i < memory.SegmentCount; i++)
        {
            var count = (int)Math.Min(memory.SegmentSize, memory.Size - (long)i * memory.SegmentSize);
            Marshal.Copy(memory.GetSegment(i), bytes, i * memory.SegmentSize, count);
        }
        return bytes;
    }

    private static void Fill(MappedMemory memory, string path)
    {
        var bytes = File.ReadAllBytes(path);
        for(var i = 0; i < bytes.Length; i++)
        {
            memory.TouchSegment(i / memory.SegmentSize);
            Marshal.WriteByte(memory.GetSegment(i / memory.SegmentSize), i % memory.SegmentSize, bytes[i]);
        }
    }

    // Runs programs as the firmware's driver does: the words, START last, then sleep until the interrupt.
    private static void Accelerator(string library, string folder)
    {
        // Segments as Renode sizes them for this part: memory is in pieces that do not touch.
        var ram = new MappedMemory(0x40000, 0x10000);
        var flash = new MappedMemory(0x17E000, 0x20000);
        var bus = new Bus(ram, flash);
        var mvp = new TokayMvp(new Chip(bus), ram, flash);
        var timer = LimitTimer.All[LimitTimer.All.Count - 2];
        var wake = LimitTimer.All[LimitTimer.All.Count - 1];
        Check(mvp.ReadDoubleWord(0) == 0 && Logger.Lines.Count == 1, "says that it has no library");
        try
        {
            mvp.Library = Path.Combine(folder, "missing.so");
            Check(false, "a missing library is refused");
        }
        catch(RecoverableException e)
        {
            Check(e.Message.Contains("missing.so") && e.Message.Contains("make native"), "it says which and what to do");
        }
        mvp.Library = library;
        Check(SharedLibraries.Loaded.Contains(library), "Renode's own loader opens it, on every system and runtime");
        Fill(ram, Path.Combine(folder, "ram.bin"));
        Fill(flash, Path.Combine(folder, "flash.bin"));
        Check(mvp.ReadDoubleWord(0) != 0, "it answers");
        mvp.WriteDoubleWord(0x1004, 1);
        mvp.WriteDoubleWord(0x00C, 1u | 2u << 20);
        mvp.WriteDoubleWord(0x201C, 0xFFFFFFFF);
        mvp.WriteDoubleWord(0x020, 1u | 0x1Fu << 24);
        var words = File.ReadAllBytes(Path.Combine(folder, "programs.bin"));
        var counts = new List<string>();
        for(var at = 0; at < words.Length; at += 4 * 69)
        {
            Program(mvp, words, at);
            Check(!mvp.IRQ.IsSet && timer.Enabled, "a program takes its time");
            Check((mvp.ReadDoubleWord(0x010) & 1) != 0, "it is running");
            var cycles = timer.Limit;
            timer.Elapse(cycles - 1);
            Check(!mvp.IRQ.IsSet && mvp.ReadDoubleWord(0x01C) == (mvp.ReadDoubleWord(0x01C) & ~1u), "not yet");
            timer.Elapse(1);
            Check(mvp.IRQ.IsSet && !timer.Enabled, "its interrupt comes at its end");
            counts.Add(mvp.ReadDoubleWord(0x014) + " " + mvp.ReadDoubleWord(0x018) + " " + mvp.ReadDoubleWord(0x01C) + " " + cycles);
            ulong late = 0;
            while(late < 300)
            {
                Check(wake.Enabled && wake.Limit <= late + 32, "a core that slept too late is woken soon");
                late += wake.Limit;
                wake.Elapse(wake.Limit);
            }
            mvp.WriteDoubleWord(0x201C, 0xFFFFFFFF);
            Check(!mvp.IRQ.IsSet && !wake.Enabled, "cleared");
        }
        Check(bus.Accesses == 0, "memory is reached through windows, not over the bus");
        File.WriteAllText(Path.Combine(folder, "counts.txt"), string.Join("\n", counts.ToArray()) + "\n");
        File.WriteAllBytes(Path.Combine(folder, "ram.out"), Bytes(ram));

        // A bus error that is asked for is the model's own, and the next program is well again.
        mvp.FailNextProgram();
        Program(mvp, words, 0);
        timer.Elapse(timer.Enabled ? timer.Limit : 0);
        Check(mvp.IRQ.IsSet && (mvp.ReadDoubleWord(0x01C) & 1u << 25) != 0, "a bus fault");
        Check(wake.Enabled, "a program that fails at once wakes the core too");
        wake.Elapse(1000000);
        Check(!wake.Enabled, "nobody is woken for ever");
        mvp.WriteDoubleWord(0x201C, 0xFFFFFFFF);
        Program(mvp, words, 0);
        timer.Elapse(timer.Limit);
        Check((mvp.ReadDoubleWord(0x01C) & (1u | 0x1Fu << 24)) == 1, "and well again");
        mvp.Timing = 1;
        Check(!mvp.IRQ.IsSet && !wake.Enabled && mvp.ReadDoubleWord(0x004) == 0, "another timing resets it");
        mvp.Dispose();
    }

    private static void Program(TokayMvp mvp, byte[] words, int at)
    {
        for(var i = 0; i < 69; i++)
        {
            mvp.WriteDoubleWord(0x064 + 4 * i, BitConverter.ToUInt32(words, at + 4 * i));
        }
    }
}
